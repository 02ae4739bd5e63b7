//! The picking policies, as clients run them, against published tables, under a virtual clock.

#![allow(clippy::print_stdout)]

mod kernel;

use brokerless_patterns::balance::Policy;
use kernel::*;

fn main() {
    kernel::check();
    for lambda in [0.5, 0.9] {
        let t = std::time::Instant::now();
        let servers = vec![Server::new(Order::Fifo { slots: 1 }); 100];
        let mut world = World::new(1, servers, Cost::Exponential { mean: S as f64 });
        world.log.from = 1000 * S;
        if lambda < 0.8 {
            world.add_caller(
                Box::new(Production::alike(&Policy::weighted(), 1, 100)),
                vec![0; 100],
            );
        } else {
            world.add_caller(
                Box::new(Known::new(1, |view: &View<'_>, server| {
                    view.on_the_way[server] as f64
                })),
                vec![0; 100],
            );
        }
        world.add_source(Source {
            callers: 0..1,
            arrivals: Arrivals::Poisson {
                per_s: 100.0 * lambda,
            },
            deadline: None,
            replicas: None,
            until: 5000 * S,
        });
        world.run(u64::MAX);
        let l = &world.log.latencies;
        println!(
            "{lambda}: {} {:.3} {:.2} {:.2} {:.2} {:?}",
            l.count(),
            l.mean() / 1e9,
            l.quantile(0.5) / 1e9,
            l.quantile(0.99) / 1e9,
            l.quantile(0.999) / 1e9,
            t.elapsed()
        );
    }
}
