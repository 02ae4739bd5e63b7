//! A message of items, taken apart.

use std::fmt;
use std::sync::Arc;

use super::conduit::Conduit;
use crate::service;
use crate::wire::{DecodeError, Encoding, ItemCursor, ItemsHead, Payload};

/// A message of items, some of which have been taken.
#[derive(Debug)]
pub(super) struct Batch {
    payload: Payload,
    cursor: ItemCursor,
    /// Where the last item that was taken ended.
    at: usize,
    /// Items that were taken and not told, and where the first of them began.
    untold: u32,
    told_to: usize,
}

impl Batch {
    pub(super) fn new(head: &ItemsHead, payload: Payload, encoding: Encoding) -> Batch {
        Batch {
            payload,
            cursor: ItemCursor::new(head, encoding),
            at: 0,
            untold: 0,
            told_to: 0,
        }
    }

    /// None at all.
    pub(super) fn empty() -> Batch {
        Batch::new(&ItemsHead::new(0, 0, 0), Payload::default(), Encoding::Raw)
    }

    /// Items that are left.
    pub(super) fn left(&self) -> u32 {
        self.cursor.left()
    }

    /// Takes the next item: its index, and what `read` makes of it.
    ///
    /// The outer error is that it cannot be found: nor can those that follow.
    #[inline]
    pub(super) fn next<T>(
        &mut self,
        read: impl FnOnce(&service::Item<'_>) -> T,
    ) -> Option<(u64, Result<T, DecodeError>)> {
        let index = self.cursor.index();
        let body = &self.payload.body;
        let range = match self.cursor.next_range(body)? {
            Ok(range) => range,
            Err(error) => return Some((index, Err(error))),
        };
        self.at = range.end;
        self.untold += 1;
        let item = service::Item {
            bytes: body.get(range).unwrap_or_default(),
            body,
            blobs: &self.payload.blobs,
        };
        Some((index, Ok(read(&item))))
    }

    /// Items that were taken since this was asked last, and their bytes: blobs with the last one.
    pub(super) fn took(&mut self) -> (u32, u64) {
        let items = std::mem::take(&mut self.untold);
        let mut bytes = self.at - self.told_to;
        if items > 0 && self.left() == 0 {
            let blobs = self.payload.blobs.iter().map(|blob| blob.len());
            bytes += blobs.sum::<usize>();
        }
        self.told_to = self.at;
        (items, bytes as u64)
    }

    /// Takes the rest of the items apart.
    pub(super) fn apart(mut self, conduit: &Arc<Conduit>, mut give: impl FnMut(Item)) {
        loop {
            let index = self.cursor.index();
            let Some(range) = self.cursor.next_range(&self.payload.body) else {
                return;
            };
            let kind = match range {
                Ok(range) => {
                    self.at = range.end;
                    self.untold = 1;
                    Kind::Value(Payload {
                        body: self.payload.body.slice(range),
                        blobs: self.payload.blobs.clone(),
                    })
                }
                Err(error) => Kind::Broken(error),
            };
            let (_, bytes) = self.took();
            give(Item {
                index,
                kind,
                taken: Some((conduit.clone(), bytes)),
            });
        }
    }
}

/// Something that a stream's [`receiver`](super::Stream::receiver) gave: an item, not yet decoded,
/// or the end.
///
/// The node may send another once it is decoded, or dropped.
#[must_use = "it is to be decoded"]
pub struct Item {
    index: u64,
    kind: Kind,
    taken: Option<(Arc<Conduit>, u64)>,
}

/// What came.
#[derive(Debug)]
pub(super) enum Kind {
    Value(Payload),
    /// It cannot be told from those that follow.
    Broken(DecodeError),
    End,
}

impl Item {
    /// What comes last.
    pub(super) fn end() -> Item {
        Item {
            index: u64::MAX,
            kind: Kind::End,
            taken: None,
        }
    }

    /// It is not to be counted as taken.
    pub(super) fn forget(mut self) {
        self.taken = None;
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The item's index, from 0; none if this is the end.
    pub fn index(&self) -> Option<u64> {
        match self.kind {
            Kind::Value(_) | Kind::Broken(_) => Some(self.index),
            Kind::End => None,
        }
    }

    /// Whether this is the end, and nothing follows.
    pub fn is_end(&self) -> bool {
        matches!(self.kind, Kind::End)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some((conduit, bytes)) = self.taken.take()
            && let Some((way, window)) = conduit.took(1, bytes, false)
        {
            conduit.tell(&way, window);
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("index", &self.index())
            .finish_non_exhaustive()
    }
}
