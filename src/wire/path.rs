//! The return path: the addresses that devices put before an envelope, up to the empty frame.
//!
//! A replier takes it off what came from a peer without a session, and puts it before the answer.
//!
//! # Invariants
//!
//! 1. What was taken off and put before an answer leads back as it came. (test
//!    `a_path_is_put_before_the_answer_as_it_came`)
//! 2. A path has at most 16 frames. (test `a_path_of_17_frames_is_refused`)

use brokerless_patterns::{Frame, Message};
use smallvec::SmallVec;

use super::PATH_FRAMES_MAX;
use super::fault::{Fault, WireError};

/// The frames before an envelope, with the empty one that ends them; none at all within a
/// session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReturnPath(SmallVec<[Frame; 2]>);

impl ReturnPath {
    /// Takes the path off a message: everything up to and including the first empty frame. A
    /// message without an empty frame has none, and is left as it is.
    ///
    /// # Errors
    ///
    /// Where the first empty frame is not among the first 16. The message is gone.
    pub fn split(message: Message) -> Result<(ReturnPath, Message), WireError> {
        let Some(end) = message.iter().position(|frame| frame.is_empty()) else {
            return Ok((ReturnPath::default(), message));
        };
        if end >= PATH_FRAMES_MAX {
            return Err(Fault::Path(PATH_FRAMES_MAX).into());
        }
        let mut frames = message.into_iter();
        let path = frames.by_ref().take(end + 1).collect();
        Ok((ReturnPath(path), Message::from_frames(frames)))
    }

    /// Puts the path before a message, so that devices bring it back.
    pub fn put_before(&self, message: Message) -> Message {
        if self.0.is_empty() {
            return message;
        }
        Message::from_frames(self.0.iter().cloned().chain(message))
    }

    /// Its frames, the empty one at the end.
    pub fn frames(&self) -> &[Frame] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
