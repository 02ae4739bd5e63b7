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
    }

    /// Switches one mistake on, and every other off, in the whole process.
    pub fn plant(bug: Bug) {
        PLANTED.store(bug as u8, Relaxed);
    }

    pub(crate) fn is(bug: Bug) -> bool {
        PLANTED.load(Relaxed) == bug as u8
    }
}
