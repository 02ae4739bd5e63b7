//! The registry of workers against a plain list of them.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::{ReadyError, Workers};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_sign_of_life_is_no_request_for_work() {
    let mut workers = Workers::new(10, ms(100));
    assert!(!workers.heard(1, ms(0)));
    assert_eq!(workers.ready(1, (), ms(0)), Ok(()));
    assert_eq!(workers.take('a'), Ok(&()));
    assert!(workers.heard(1, ms(50)));
    assert_eq!(workers.take('b'), Err('b'));
    assert_eq!(workers.ready(1, (), ms(60)), Err(ReadyError::Busy));
    assert_eq!(workers.job(1), Some(&'a'));
    assert_eq!(workers.finish(1), Some('a'));
    // Nor is having finished.
    assert_eq!(workers.take('b'), Err('b'));
    assert_eq!(workers.finish(1), None);
    assert_eq!(workers.ready(1, (), ms(70)), Ok(()));
    assert_eq!(workers.take('b'), Ok(&()));
}

#[test]
fn the_silent_expire_busy_ones_too_past_those_who_live() {
    let mut workers = Workers::new(10, ms(100));
    for id in 1..=4 {
        workers.ready(id, id, ms(0)).unwrap();
    }
    assert_eq!(workers.take("a"), Ok(&1));
    // 2, first in line, lives; 1, busy, and 3 and 4, behind 2, do not.
    workers.heard(2, ms(90));
    assert_eq!(workers.next_expiry(), Some(ms(100)));
    assert!(workers.expire(ms(99)).is_empty());
    let gone = workers.expire(ms(100));
    let gone: Vec<_> = gone.iter().map(|gone| (gone.id, gone.job)).collect();
    assert_eq!(gone, [(1, Some("a")), (3, None), (4, None)]);
    assert_eq!((workers.len(), workers.ready_count()), (1, 1));
    assert_eq!(workers.next_expiry(), Some(ms(190)));
}

#[test]
fn there_are_no_more_than_may_be() {
    let mut workers: Workers<(), ()> = Workers::new(2, ms(100));
    workers.ready(1, (), ms(0)).unwrap();
    workers.ready(2, (), ms(0)).unwrap();
    let full = Err(ReadyError::Full { workers_max: 2 });
    assert_eq!(workers.ready(3, (), ms(0)), full);
    assert_eq!(workers.ready(2, (), ms(0)), Ok(()));
    assert!(workers.lost(1).is_some() && workers.lost(1).is_none());
    assert_eq!(workers.ready(3, (), ms(0)), Ok(()));
}

proptest! {
    #[test]
    fn jobs_are_never_lost_and_go_to_whoever_waited_longest(
        steps in proptest::collection::vec((0u8..6, 0u64..5, 0u64..40), 0..200),
    ) {
        let mut workers = Workers::new(4, ms(100));
        let mut now = 0;
        let (mut jobs, mut given_back) = (0, 0);
        let mut line: VecDeque<u64> = VecDeque::new();
        let mut busy: Vec<(u64, u32)> = Vec::new();
        let mut heard: Vec<(u64, u64)> = Vec::new();
        for (step, id, passed) in steps {
            now += passed;
            let known = heard.iter().any(|(one, _)| *one == id);
            let hear = |heard: &mut Vec<(u64, u64)>| {
                heard.retain(|(one, _)| *one != id);
                heard.push((id, now));
            };
            match step {
                0 => {
                    let taken = workers.ready(id, id, ms(now));
                    let is_busy = busy.iter().any(|(one, _)| *one == id);
                    if known || heard.len() < 4 {
                        hear(&mut heard);
                        prop_assert_eq!(taken.is_err(), is_busy);
                        if !is_busy && !line.contains(&id) {
                            line.push_back(id);
                        }
                    } else {
                        let full = Err(ReadyError::Full { workers_max: 4 });
                        prop_assert_eq!(taken, full);
                    }
                }
                1 => {
                    prop_assert_eq!(workers.heard(id, ms(now)), known);
                    if known {
                        hear(&mut heard);
                    }
                }
                2 => {
                    let taken = workers.take(jobs).copied();
                    prop_assert_eq!(taken.ok(), line.front().copied());
                    if let Some(id) = line.pop_front() {
                        busy.push((id, jobs));
                        jobs += 1;
                    }
                }
                3 => {
                    let at = busy.iter().position(|(one, _)| *one == id);
                    let job = at.map(|at| busy.remove(at).1);
                    prop_assert_eq!(workers.finish(id), job);
                    given_back += u32::from(job.is_some());
                }
                _ => {
                    let gone = if step == 4 {
                        workers.lost(id).into_iter().collect()
                    } else {
                        workers.expire(ms(now))
                    };
                    for gone in gone {
                        let (_, last) = *heard.iter().find(|(one, _)| *one == gone.id).unwrap();
                        prop_assert!(step == 4 || last + 100 <= now);
                        let at = busy.iter().position(|(one, _)| *one == gone.id);
                        let job = at.map(|at| busy.remove(at).1);
                        prop_assert_eq!(gone.job, job);
                        given_back += u32::from(job.is_some());
                        heard.retain(|(one, _)| *one != gone.id);
                        line.retain(|one| *one != gone.id);
                    }
                    if step == 5 {
                        prop_assert!(heard.iter().all(|(_, last)| last + 100 > now));
                    }
                }
            }
            prop_assert_eq!(jobs, given_back + busy.len() as u32);
            prop_assert_eq!(workers.ready_count(), line.len());
            prop_assert_eq!(workers.len(), heard.len());
            for (id, job) in &busy {
                prop_assert_eq!(workers.job(*id), Some(job));
            }
        }
    }
}
