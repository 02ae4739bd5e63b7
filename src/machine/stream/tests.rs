//! Facts about a stream's two ends.

use proptest::prelude::*;

use super::*;

const WINDOW: Flow = Flow::new(8, 100);

fn pair(window: Flow) -> (Outflow, Inflow<Batch>) {
    let mut taker = Inflow::new(window);
    (Outflow::new(taker.first_window()), taker)
}

/// A message of these items, which is kept by the index of its first.
fn came(taker: &mut Inflow<u64>, first: u64, count: u32, last: bool) -> Result<(), Violation> {
    taker.arrive(first, count, u64::from(count), last, first)
}

fn opened(window: Flow) -> Inflow<u64> {
    let mut taker = Inflow::new(window);
    taker.first_window();
    taker
}

#[test]
fn a_sender_without_a_window_sends_nothing() {
    let mut sender = Outflow::new(Flow::default());
    assert!(!sender.may_send(0));
    assert!(sender.granted(WINDOW));
    assert!(sender.may_send(0));
}

#[test]
fn a_sender_keeps_to_the_window_in_items_and_bytes() {
    let (mut sender, _) = pair(WINDOW);
    assert_eq!(sender.sent(7, 10), 0);
    assert!(sender.may_send(90) && !sender.may_send(91));
    assert_eq!(sender.sent(1, 90), 7);
    assert!(!sender.may_send(0));
    assert!(sender.granted(Flow::new(9, 101)));
    assert!(sender.may_send(1) && !sender.may_send(2));
}

#[test]
fn brisk_items_gather_only_while_something_is_on_its_way() {
    let window = Flow::new(10_000, 1 << 20);
    let mut sender = Outflow::new(window);
    // Nothing is on its way: nobody would tell a window for what gathers.
    assert_eq!(sender.run(true), Flow::default());
    assert!(sender.gather(1) && sender.flush().is_some());
    assert_eq!(sender.run(true).items, 2_500, "a message's worth");
    assert_eq!(sender.run(false), Flow::default(), "few are on their way");
    assert!(!sender.gather_run(5, 5, true), "they wait for a window");
    // It comes before they are counted in: the next ones go at once.
    assert_eq!(sender.flush().map(|batch| batch.count), Some(5));
    assert!(sender.granted(Flow::new(10_006, 1 << 20)));
    assert_eq!(sender.run(true), Flow::default());
    assert!(sender.gather_run(7, 7, true));
    // Whoever gives a run so much at once tells nothing: nothing waits for that.
    let mut unbounded = Outflow::new(Flow::new(1 << 40, u64::MAX));
    assert!(unbounded.gather(1) && unbounded.flush().is_some());
    assert_eq!(unbounded.run(true), Flow::default());
}

#[test]
fn an_item_larger_than_the_window_goes_alone() {
    let (mut sender, mut taker) = pair(WINDOW);
    assert!(sender.may_send(1_000));
    assert!(sender.gather(1_000));
    let large = sender.flush().unwrap();
    assert!(!sender.may_send(0) && !sender.may_send(1_000));
    assert_eq!(
        taker.arrive(large.first, large.count, large.bytes, false, large),
        Ok(())
    );
    // Another beside it would be beyond the window.
    let mut other = Inflow::new(WINDOW);
    other.first_window();
    assert_eq!(other.arrive(0, 1, 1_000, false, ()), Ok(()));
    assert_eq!(
        other.arrive(1, 1, 1_000, false, ()),
        Err(Violation::Bytes(2_000, 100))
    );
    assert_eq!(taker.next(), Some(large));
    taker.took(1, 1_000);
    let window = taker.due_window(false).unwrap();
    assert_eq!(window, Flow::new(9, 1_100));
    assert!(sender.granted(window));
    assert!(sender.may_send(1_000));
}

#[test]
fn little_is_owed_while_there_is_room_for_more_large_items_or_many() {
    let window = Flow::new(100, 1 << 20);
    let owes_little_of = |window, items: u32, bytes: u64| {
        let mut taker: Inflow<()> = Inflow::new(window);
        taker.first_window();
        taker.took(items, bytes);
        taker.owes_little()
    };
    let owes_little = |items, bytes| owes_little_of(window, items, bytes);
    assert!(owes_little(1, 4096) && owes_little(4, 4 << 16));
    assert!(!owes_little(1, 4095), "others like it gather");
    assert!(owes_little(25, 25 << 12) && !owes_little(26, 26 << 12));
    assert!(owes_little(1, 349_525), "twice as much goes");
    assert!(!owes_little(1, 349_526), "and not a byte more");
    assert!(!owes_little(2, 1 << 20));
    assert!(!owes_little(0, 0), "nothing is owed");
    let wide = Flow::new(4000, 1 << 20);
    assert!(!owes_little_of(wide, 255, 255), "few came, so others wait");
    assert!(owes_little_of(wide, 256, 256) && owes_little_of(wide, 1000, 0));
    assert!(!owes_little_of(wide, 1001, 0));
    let mut taker: Inflow<()> = Inflow::new(window);
    taker.first_window();
    taker.took(1, 4096);
    taker.unheard();
    assert!(!taker.owes_little(), "the sender may stand still");
}

#[test]
fn a_window_that_was_overtaken_takes_nothing_back() {
    let (mut sender, _) = pair(WINDOW);
    sender.sent(8, 8);
    assert!(sender.granted(Flow::new(16, 108)));
    assert!(!sender.granted(Flow::new(12, 104)));
    assert!(sender.may_send(0));
    assert_eq!(sender.untaken(), 0);
}

#[test]
fn a_sender_that_is_told_to_stop_sends_no_more() {
    let (mut sender, _) = pair(WINDOW);
    for _ in 0..5 {
        if sender.gather(1) {
            sender.flush();
        }
    }
    assert_eq!(sender.gathered(), 1);
    sender.stop();
    assert!(sender.is_stopped() && !sender.may_send(0));
    assert_eq!(sender.flush(), None);
}

#[test]
fn an_item_goes_at_once_while_few_batches_are_on_their_way() {
    let (mut sender, _) = pair(Flow::new(1024, 1 << 20));
    for first in 0..4 {
        assert!(sender.gather(10), "item {first}");
        let bytes = 10;
        let count = 1;
        let batch = Batch {
            first,
            count,
            bytes,
        };
        assert_eq!(sender.flush(), Some(batch));
    }
    assert!(!sender.gather(10) && !sender.gather(10));
    assert_eq!((sender.gathered(), sender.untaken()), (2, 6));
    // One was taken: that is news, and what has gathered goes.
    assert!(sender.granted(Flow::new(1025, (1 << 20) + 10)));
    let batch = sender.flush().unwrap();
    assert_eq!((batch.first, batch.count, batch.bytes), (4, 2, 20));
    assert_eq!(sender.flush(), None);
}

#[test]
fn nothing_gathers_for_a_taker_that_does_not_say_what_it_takes() {
    let mut sender = Outflow::new(Flow::new(u64::MAX, u64::MAX));
    for first in 0..100 {
        assert!(sender.may_send(1 << 40) && sender.gather(1 << 40));
        assert_eq!(sender.flush().unwrap().first, first);
    }
}

#[test]
fn a_batch_is_full_by_its_items_or_its_bytes() {
    for (bytes, full_after) in [(1, 256), (1_000, 17), (100_000, 1)] {
        let (mut sender, _) = pair(Flow::new(1024, 1 << 20));
        for _ in 0..4 {
            sender.sent(1, 1);
        }
        let gathered = (1..).find(|_| sender.gather(bytes)).unwrap();
        assert_eq!(gathered, full_after);
        assert_eq!(sender.flush().unwrap().count, full_after);
    }
}

#[test]
fn what_comes_out_of_order_is_given_in_order() {
    let mut taker = opened(WINDOW);
    came(&mut taker, 3, 2, true).unwrap();
    assert_eq!((taker.next(), taker.is_ended()), (None, false));
    came(&mut taker, 1, 2, false).unwrap();
    assert_eq!(taker.next(), None);
    came(&mut taker, 0, 1, false).unwrap();
    assert!(!taker.is_ended());
    let given = std::iter::from_fn(|| taker.next());
    assert_eq!(given.collect::<Vec<_>>(), [0, 1, 3]);
    assert!(taker.is_ended());
}

#[test]
fn what_is_beyond_the_window_is_a_violation() {
    let mut early: Inflow<u64> = Inflow::new(WINDOW);
    assert_eq!(came(&mut early, 0, 1, false), Err(Violation::Items(1, 0)));
    for (first, count, bytes, why) in [
        (0, 9, 9, Violation::Items(9, 8)),
        (7, 2, 2, Violation::Items(9, 8)),
        (u64::MAX, 1, 1, Violation::Items(u64::MAX, 8)),
        (1 << 62, 1, 1, Violation::Items((1 << 62) + 1, 8)),
        (0, 2, 101, Violation::Bytes(101, 100)),
        (1, 1, 101, Violation::Bytes(101, 100)),
        (0, 0, 0, Violation::Empty),
    ] {
        let mut taker = opened(WINDOW);
        assert_eq!(taker.arrive(first, count, bytes, false, 0), Err(why));
        // It stays so, and keeps nothing.
        assert_eq!(came(&mut taker, 0, 1, false), Err(why));
        assert_eq!((taker.next(), taker.violation()), (None, Some(why)));
        assert_eq!((taker.close(), taker.due_window(true)), (Err(why), None));
    }
    let mut taker = opened(WINDOW);
    assert_eq!(came(&mut taker, 9, 0, true), Err(Violation::Items(9, 8)));
}

#[test]
fn an_item_that_comes_twice_is_a_violation() {
    for (first, count, twice) in [
        (0, 1, 0),
        (1, 2, 1),
        (3, 1, 3),
        (2, 2, 3),
        (2, 6, 3),
        (4, 2, 4),
    ] {
        let mut taker = opened(WINDOW);
        came(&mut taker, 0, 2, false).unwrap();
        came(&mut taker, 3, 2, false).unwrap();
        let violation = came(&mut taker, first, count, false);
        assert_eq!(violation, Err(Violation::Twice(twice)), "{first} {count}");
        assert_eq!(taker.next(), Some(0));
    }
}

#[test]
fn an_item_after_the_last_is_a_violation() {
    let mut taker = opened(WINDOW);
    came(&mut taker, 2, 0, true).unwrap();
    assert_eq!(came(&mut taker, 2, 1, false), Err(Violation::AfterLast(2)));
    let mut taker = opened(WINDOW);
    came(&mut taker, 3, 1, false).unwrap();
    assert_eq!(came(&mut taker, 0, 1, true), Err(Violation::AfterLast(3)));
    let mut taker = opened(WINDOW);
    came(&mut taker, 0, 1, true).unwrap();
    assert_eq!(came(&mut taker, 1, 0, true), Err(Violation::AfterLast(1)));
}

#[test]
fn an_end_before_an_item_is_a_violation() {
    let mut taker = opened(WINDOW);
    came(&mut taker, 0, 1, false).unwrap();
    came(&mut taker, 2, 1, false).unwrap();
    assert_eq!(taker.close(), Err(Violation::Missing(1)));
    assert_eq!((taker.next(), taker.is_ended()), (Some(0), false));
}

#[test]
fn an_end_comes_after_what_came_before_it() {
    let mut taker = opened(WINDOW);
    came(&mut taker, 0, 2, false).unwrap();
    assert_eq!((taker.close(), taker.close()), (Ok(()), Ok(())));
    assert!(taker.end_is_known() && !taker.is_ended());
    assert_eq!((taker.next(), taker.is_ended()), (Some(0), true));
    assert_eq!(came(&mut taker, 2, 1, false), Err(Violation::AfterLast(2)));
}

#[test]
fn a_window_is_due_when_half_is_taken_or_before_a_wait() {
    let mut taker = opened(WINDOW);
    assert_eq!(taker.due_window(true), None);
    came(&mut taker, 0, 8, false).unwrap();
    taker.next();
    taker.took(3, 3);
    assert_eq!(taker.due_window(false), None);
    assert_eq!(taker.due_window(true), Some(Flow::new(11, 103)));
    assert_eq!(taker.due_window(true), None);
    taker.took(4, 4);
    assert_eq!(taker.due_window(false), Some(Flow::new(15, 107)));
    // Nobody needs one once the last has come.
    came(&mut taker, 8, 1, true).unwrap();
    taker.took(2, 2);
    assert_eq!(taker.due_window(true), None);
}

#[test]
fn a_window_that_could_not_be_sent_is_due_again() {
    let mut taker = opened(WINDOW);
    came(&mut taker, 0, 8, false).unwrap();
    taker.next();
    taker.took(8, 8);
    let window = Some(Flow::new(16, 108));
    assert_eq!(taker.due_window(true), window);
    assert!(!taker.owes_window() && taker.due_window(true).is_none());
    taker.unheard();
    assert!(taker.owes_window());
    assert_eq!(taker.due_window(false), window);
    assert!(!taker.owes_window() && taker.due_window(true).is_none());
}

#[test]
fn half_of_the_bytes_is_half_of_the_window() {
    let mut taker = opened(WINDOW);
    taker.arrive(0, 1, 60, false, 0).unwrap();
    taker.next();
    taker.took(1, 50);
    assert_eq!(taker.due_window(false), None);
    taker.took(0, 10);
    assert_eq!(taker.due_window(false), Some(Flow::new(9, 160)));
}

/// What a sender and a taker do next, and what the network between them does.
#[derive(Debug, Clone)]
enum Step {
    /// An item of so many bytes is to be sent.
    Item(u64),
    /// The message at this place of those on their way comes.
    Items(usize),
    /// The window at this place of those on their way comes.
    Window(usize),
    /// The taker takes a message.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![8 => 0u64..20, 1 => 100u64..300].prop_map(Step::Item),
        3 => (0usize..4).prop_map(Step::Items),
        2 => (0usize..4).prop_map(Step::Window),
        3 => Just(Step::Take),
    ]
}

struct World {
    sender: Outflow,
    taker: Inflow<Batch>,
    items: Vec<Batch>,
    windows: Vec<Flow>,
    /// Sizes of the items sent and gathered; and of those taken.
    put: Vec<u64>,
    taken: u64,
}

impl World {
    fn new(window: Flow) -> World {
        let (sender, taker) = pair(window);
        World {
            sender,
            taker,
            items: Vec::new(),
            windows: Vec::new(),
            put: Vec::new(),
            taken: 0,
        }
    }

    fn put(&mut self, bytes: u64) -> bool {
        if !self.sender.may_send(bytes) {
            return false;
        }
        self.put.push(bytes);
        if self.sender.gather(bytes) {
            self.items.extend(self.sender.flush());
        }
        true
    }

    fn items(&mut self, at: usize) {
        if at < self.items.len() {
            let batch = self.items.remove(at);
            let arrived = self
                .taker
                .arrive(batch.first, batch.count, batch.bytes, false, batch);
            assert_eq!(arrived, Ok(()));
        }
    }

    fn window(&mut self, at: usize) {
        if at < self.windows.len() {
            let window = self.windows.remove(at);
            if self.sender.granted(window) {
                self.items.extend(self.sender.flush());
            }
        }
    }

    fn take(&mut self) -> bool {
        match self.taker.next() {
            Some(batch) => {
                assert_eq!(batch.first, self.taken, "in order");
                let end = self.taken + u64::from(batch.count);
                let bytes: u64 = self.put[self.taken as usize..end as usize].iter().sum();
                assert_eq!(bytes, batch.bytes);
                self.taken = end;
                self.taker.took(batch.count, bytes);
                self.windows.extend(self.taker.due_window(false));
                true
            }
            None => {
                self.windows.extend(self.taker.due_window(true));
                false
            }
        }
    }

    fn bounded(&self, window: Flow) {
        let kept = self.taker.kept();
        assert!(kept.items <= window.items, "{kept:?}");
        let largest = self.put.iter().copied().max().unwrap_or(0);
        assert!(kept.bytes <= window.bytes.max(largest), "{kept:?}");
    }
}

proptest! {
    #[test]
    fn items_arrive_once_in_order_and_within_the_window(
        items in 1u64..40,
        bytes in 1u64..200,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let window = Flow::new(items, bytes);
        let mut world = World::new(window);
        for step in steps {
            match step {
                Step::Item(bytes) => {
                    world.put(bytes);
                }
                Step::Items(at) => world.items(at),
                Step::Window(at) => world.window(at),
                Step::Take => {
                    world.take();
                }
            }
            world.bounded(window);
        }
        // It comes to its end: a large item, too.
        let mut rounds = 0;
        while !world.put(250) || world.taken < world.put.len() as u64 {
            world.items(0);
            world.window(0);
            if !world.take() && world.put.len() as u64 == world.taken {
                break;
            }
            rounds += 1;
            prop_assert!(rounds < 10_000, "it stands still");
        }
        prop_assert_eq!(world.taken, world.put.len() as u64);
        prop_assert_eq!(world.taker.close(), Ok(()));
        prop_assert!(world.taker.is_ended());
    }
}
