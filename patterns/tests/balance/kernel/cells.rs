//! Independent runs, side by side: what each comes to depends on no other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Runs each of these on one of so many threads; the results are in the order of the work.
pub(crate) fn side_by_side<W: Sync, T: Send>(
    threads: usize,
    work: &[W],
    run: impl Fn(&W) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<T>>> = work.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, work.len().max(1)) {
            scope.spawn(|| {
                while let Some((work, place)) = {
                    let at = next.fetch_add(1, Relaxed);
                    work.get(at).zip(done.get(at))
                } {
                    let result = run(work);
                    *place.lock().expect("nobody panics with it") = Some(result);
                }
            });
        }
    });
    let done = done.into_iter().map(|place| place.into_inner());
    done.map(|place| place.expect("not poisoned").expect("it was run"))
        .collect()
}
