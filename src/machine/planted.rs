//! Mistakes that can be switched on, one at a time: the proof that the simulator finds them.
//!
//! Only a build with `--cfg planted` has them. `planted!(Name)` is `false` in every other.

/// Whether the mistake of this name is switched on.
#[cfg(not(planted))]
macro_rules! planted {
    ($name:ident) => {
        false
    };
}

/// Whether the mistake of this name is switched on.
#[cfg(planted)]
macro_rules! planted {
    ($name:ident) => {
        $crate::machine::planted::is($crate::machine::planted::Bug::$name)
    };
}

#[cfg(planted)]
pub(crate) use on::is;
#[cfg(planted)]
pub use on::{Bug, plant};

#[cfg(planted)]
mod on {
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    macro_rules! bugs {
        ($($(#[doc = $doc:literal])* $name:ident,)*) => {
            /// A mistake that can be planted.
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            #[repr(u8)]
            pub enum Bug {
                /// None: the fabric as it is.
                None,
                $($(#[doc = $doc])* $name,)*
            }

            impl Bug {
                /// Every mistake.
                pub const ALL: &[Bug] = &[$(Bug::$name),*];
            }
        };
    }

    bugs! {
        /// An answer does not give back the call's credit.
        CreditLeaksOnAnswer,
        /// An answer to an earlier attempt is taken for one to the present attempt.
        EarlierAttemptAnswers,
        /// What was in flight at a lost node is sent to another.
        LostIsPickedAgain,
        /// What was sent and never answered is said not to have run.
        LostSaysNo,
        /// A call given up frees its credit before its node has answered.
        GivenUpFreesCredit,
        /// A bye is answered, and calls go on.
        ByeIgnored,
        /// The window of an earlier connection holds in the next one.
        WelcomeIgnored,
        /// The timer of a call that nobody waits for is not set.
        DeadlineForgotten,
        /// A call that every node has turned away is never picked again.
        RestNeverEnds,
        /// A call that ends while it waits stays in its queue.
        EndedStaysQueued,
        /// A slot's next call has the identifier of the last one.
        IdentifierReused,
        /// The window in bytes is not looked at.
        BytesIgnored,
        /// A call that is refused at its start stays in the replier's table.
        RefusalStaysHeld,
        /// A replier leaves before its callers have said bye.
        QuietTooEarly,
        /// A draining replier does not say so.
        ByeNeverSaid,
        /// A call that is refused as late is not counted.
        RefusalUncounted,
        /// Cancelling a call that runs takes it off the table, so that it is never answered.
        CancelDropsRunning,
        /// A smaller window holds before the caller can know of it.
        ShrinkHoldsAtOnce,
        /// One call more is granted than admitted.
        TellsTooMuch,
        /// A stream's window is added to what was granted before.
        WindowCountedTwice,
        /// An overtaken window of a stream takes back what a later one has granted.
        WindowFalls,
        /// The bytes of a stream's items are not looked at.
        ItemBytesIgnored,
        /// An item that is larger than its stream's window never goes.
        LargeItemNeverGoes,
        /// A window that comes does not send off what has gathered.
        GatheredNeverFlushed,
        /// A batch that goes as it is full goes without its last item.
        LastOfBatchLost,
        /// Who is told that no items are wanted sends on.
        StopIgnored,
        /// Items are taken as they come, not in their order.
        DisorderTaken,
        /// When what was missing comes, one message of those that wait for it is given, not all.
        HeldGoesOneByOne,
        /// A window is made of what has come, not of what is taken.
        WindowOfWhatCame,
        /// That no items follow is not heard of a message that has none.
        EmptyLastIgnored,
        /// An item that is larger than its stream's window goes beside others.
        LargeItemNotAlone,
        /// A stream has ended once its last item has come, taken or not.
        EndOvertakesItems,
        /// A taker that is about to wait does not tell what it has taken.
        IdleTakerSilent,
        /// A call for one node is sent to another while that one has no credit.
        OnlyGoesElsewhere,
        /// A call for one node waits on when that one has left.
        OnlyWaitsForEver,
        /// A scatter calls a task again that may have run, though that may do harm.
        ScatterAsksMaybeAgain,
        /// A scatter forgets a task that a node has turned away.
        ScatterLosesRefused,
        /// A scatter counts no tries.
        ScatterNeverTires,
        /// A scatter says of a task what its last call says, whatever came of those before.
        ScatterForgetsMaybe,
        /// A scatter gives a node more than its depth.
        ScatterTooDeep,
        /// A scatter goes back to a node that has turned a task away, though another is up.
        ScatterGoesBack,
        /// A scatter goes on at its fail limit.
        ScatterFailsOn,
        /// A worker that is freed goes to the first in line, and stays with its caller.
        FreedGoesToTwo,
        /// A call that crosses with credit that was taken back is taken all the same.
        CrossedIsTaken,
        /// A caller that has gone keeps the workers that it was granted.
        GoneKeepsWorkers,
        /// A call that takes no worker waits for one.
        BesideWaits,
    }

    /// Switches one mistake on, and every other off, in the whole process.
    pub fn plant(bug: Bug) {
        PLANTED.store(bug as u8, Relaxed);
    }

    pub(crate) fn is(bug: Bug) -> bool {
        PLANTED.load(Relaxed) == bug as u8
    }
}
