//! What a message costs, counted: copies, allocations, system calls.
//!
//! The counters are the process's, so everything is measured by one test, one thing after the
//! other. Both sides are in this process, each with an engine and a thread of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brokerless_patterns::counters::{payload_bytes_copied, system_calls};
use brokerless_patterns::{Dealer, Engine, Frame, Message, Options, Router};

const LIMIT: Duration = Duration::from_secs(20);

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on to the system's allocator as it came; the counter is beside it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What one message there and back cost, both sides together.
#[derive(Debug, Clone, Copy)]
struct Cost {
    allocations: f64,
    system_calls: f64,
    bytes_copied: f64,
}

/// Keeps `window` messages in flight until `count` have come back.
fn echo(dealer: &Dealer, frame: &Frame, count: usize, window: usize) {
    let (mut sent, mut received) = (0, 0);
    while received < count {
        while sent < count && sent - received < window {
            dealer.send(frame.clone()).unwrap();
            sent += 1;
        }
        let message = dealer.recv_timeout(LIMIT).unwrap();
        assert_eq!(message.bytes(), frame.len());
        received += 1;
    }
}

fn measure(endpoint: &str, bytes: usize, count: usize, window: usize) -> Cost {
    let ours = || Options::new().engine(&Engine::new().unwrap());
    let router = Router::with(ours()).unwrap();
    let endpoint = router.bind_to(endpoint).unwrap().to_string();
    let dealer = Dealer::with(ours()).unwrap();
    dealer.connect_to(&endpoint).unwrap();
    let frame = Frame::from(vec![1; bytes]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((peer, message)) = router.recv() {
                router.send(&peer, message).unwrap();
            }
        });
        // Warm: buffers have their sizes, and the threads have learned their pace.
        echo(&dealer, &frame, 20 * window, window);
        let now = || {
            let allocations = ALLOCATIONS.load(Ordering::SeqCst);
            (allocations, system_calls(), payload_bytes_copied())
        };
        let before = now();
        echo(&dealer, &frame, count, window);
        let after = now();
        assert!(router.close().is_empty());
        let each = |before: u64, after: u64| (after - before) as f64 / count as f64;
        Cost {
            allocations: each(before.0, after.0),
            system_calls: each(before.1, after.1),
            bytes_copied: each(before.2, after.2),
        }
    })
}

#[test]
fn a_message_costs_no_more_than_is_promised() {
    the_counters_count();
    let ipc = std::env::temp_dir().join(format!("brokerless-costs-{}", std::process::id()));
    let ipc = format!("ipc://{}", ipc.display());

    for endpoint in ["tcp://127.0.0.1:*", &ipc] {
        let large = measure(endpoint, 1 << 20, 200, 4);
        println!("{endpoint} 1 MiB: {large:?}");
        assert_eq!(large.bytes_copied, 0.0, "of a 1 MiB frame, each way");

        let alone = measure(endpoint, 64, 20_000, 1);
        println!("{endpoint} 64 B, one at a time: {alone:?}");
        // Two sides; a wake-up of the steward now and then is on top.
        assert!(alone.system_calls <= 2.0 * 3.0 + 0.3, "{alone:?}");

        let pipelined = measure(endpoint, 64, 200_000, 256);
        println!("{endpoint} 64 B, 256 in flight: {pipelined:?}");
        assert!(pipelined.system_calls < 2.0 * 0.2, "{pipelined:?}");
        assert!(pipelined.allocations <= 2.0, "{pipelined:?}");
    }

    for bytes in [1, 64, 4096, 1 << 20] {
        let inproc = measure("inproc://costs", bytes, 1_000, 8);
        println!("inproc {bytes} B: {inproc:?}");
        assert_eq!(inproc.bytes_copied, 0.0, "of {bytes} bytes");
    }
}

/// A small frame is gathered into the write buffer, and copied out of the read buffer: so the
/// counter is alive.
fn the_counters_count() {
    let before = payload_bytes_copied();
    let router = Router::bind("tcp://127.0.0.1:*").unwrap();
    let dealer = Dealer::connect(&router.local_endpoints()[0].to_string()).unwrap();
    dealer.send(Message::from(vec![1; 100])).unwrap();
    router.recv_timeout(LIMIT).unwrap();
    assert!(payload_bytes_copied() >= before + 200);
}
