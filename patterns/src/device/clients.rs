//! Who is who in front of a queue: tokens given to clients, and clients found by them.
//!
//! A token is the number of a connection and a seal over it, made with a key that only this device
//! has. A worker can answer whom it was asked by and nobody else: it cannot make the token of
//! another client, and what was meant for a client that has gone finds nobody, whoever announces
//! its identity now, and whichever device stands here now.
//!
//! # Invariants
//!
//! 1. A token leads to the connection that it was made for or to nobody. (tests
//!    `a_token_leads_to_its_connection_only`, `a_token_that_was_changed_leads_nowhere`)
//! 2. Clients that have gone are forgotten: at most as many are kept as there are others, and
//!    `KEPT` more. (test `clients_that_have_gone_are_forgotten`)

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::counts::Drop;
use crate::message::Frame;
use crate::socket::Peer;

/// Bytes of a token.
pub(super) const TOKEN_BYTES: usize = 16;
/// Connections that are looked after without asking whether they are still there.
const KEPT: usize = 64;

/// Connections are numbered one after the other, by us: any spread will do.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 << 8 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Something about each connection of a socket, for as long as there is one.
#[derive(Debug)]
pub(super) struct Table<T> {
    known: HashMap<u64, (Peer, T), BuildHasherDefault<NumberHasher>>,
    sweep_at: usize,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Table {
            known: HashMap::default(),
            sweep_at: KEPT,
        }
    }

    /// What is noted of this peer; `new` makes it.
    pub(super) fn entry(&mut self, peer: &Peer, new: impl FnOnce() -> T) -> &mut T {
        if self.known.len() >= self.sweep_at && !self.known.contains_key(&peer.id()) {
            self.known.retain(|_, (peer, _)| !peer.pipe().is_closed());
            self.sweep_at = KEPT + self.known.len() * 2;
        }
        let (_, noted) = self
            .known
            .entry(peer.id())
            .or_insert_with(|| (peer.clone(), new()));
        noted
    }

    pub(super) fn get(&self, id: u64) -> Option<&(Peer, T)> {
        self.known.get(&id)
    }
}

/// The clients of a queue.
#[derive(Debug)]
pub(super) struct Clients {
    key: RandomState,
    tokens: Table<Frame>,
}

impl Clients {
    pub(super) fn new() -> Self {
        Clients {
            key: RandomState::new(),
            tokens: Table::new(),
        }
    }

    /// The token of this client's connection; allocated once a connection.
    pub(super) fn token(&mut self, peer: &Peer) -> Frame {
        let Clients { key, tokens } = self;
        let token = tokens.entry(peer, || {
            let mut token = [0; TOKEN_BYTES];
            token[..8].copy_from_slice(&peer.id().to_be_bytes());
            token[8..].copy_from_slice(&seal(key, peer.id()));
            Frame::copy_from_slice(&token)
        });
        token.clone()
    }

    /// Whom a token belongs to.
    pub(super) fn find(&self, token: &[u8]) -> Result<&Peer, Drop> {
        let Some((id, sealed)) = token.split_first_chunk::<8>() else {
            return Err(Drop::UnknownToken);
        };
        let id = u64::from_be_bytes(*id);
        if sealed != seal(&self.key, id) {
            return Err(Drop::UnknownToken);
        }
        match self.tokens.get(id) {
            Some((peer, _)) => Ok(peer),
            None => Err(Drop::PeerGone),
        }
    }
}

fn seal(key: &RandomState, id: u64) -> [u8; 8] {
    key.hash_one(id).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dealer, Router};
    use std::time::Duration;

    fn peers(router: &Router, count: usize) -> (Vec<Dealer>, Vec<Peer>) {
        let endpoint = router.local_endpoints()[0].to_string();
        let dealers: Vec<Dealer> = (0..count)
            .map(|_| Dealer::connect(&endpoint).unwrap())
            .collect();
        let peers = dealers.iter().map(|dealer| {
            dealer.send("hello").unwrap();
            router.recv_timeout(Duration::from_secs(60)).unwrap().0
        });
        let peers = peers.collect();
        (dealers, peers)
    }

    #[test]
    fn a_token_leads_to_its_connection_only() {
        let router = Router::bind("inproc://clients-found").unwrap();
        let (_dealers, peers) = peers(&router, 3);
        let mut clients = Clients::new();
        let tokens: Vec<Frame> = peers.iter().map(|peer| clients.token(peer)).collect();
        for (peer, token) in peers.iter().zip(&tokens) {
            assert_eq!(clients.find(token), Ok(peer));
            assert_eq!(clients.token(peer), *token);
        }
        // Another device, or the next one at this place, takes none of them.
        let mut other = Clients::new();
        other.token(&peers[0]);
        assert_eq!(other.find(&tokens[0]), Err(Drop::UnknownToken));
    }

    #[test]
    fn a_token_that_was_changed_leads_nowhere() {
        let router = Router::bind("inproc://clients-changed").unwrap();
        let (_dealers, peers) = peers(&router, 2);
        let mut clients = Clients::new();
        let tokens: Vec<Frame> = peers.iter().map(|peer| clients.token(peer)).collect();
        for bit in 0..TOKEN_BYTES * 8 {
            let mut token = tokens[0].to_vec();
            token[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(clients.find(&token), Err(Drop::UnknownToken), "bit {bit}");
        }
        let mixed = [&tokens[0][..8], &tokens[1][8..]].concat();
        for bad in [&mixed[..], &tokens[0][..15], b"", &[0; 16], &[0; 17]] {
            assert_eq!(clients.find(bad), Err(Drop::UnknownToken));
        }
    }

    #[test]
    fn clients_that_have_gone_are_forgotten() {
        let router = Router::bind("inproc://clients-gone").unwrap();
        let mut clients = Clients::new();
        let (_dealer, stays) = peers(&router, 1);
        let token = clients.token(&stays[0]);
        let mut gone = Vec::new();
        for _ in 0..KEPT * 3 {
            let (dealer, peers) = peers(&router, 1);
            gone.push(clients.token(&peers[0]));
            assert!(dealer[0].close().is_empty());
            assert!(clients.tokens.known.len() <= KEPT + 2);
        }
        assert_eq!(clients.find(&gone[0]), Err(Drop::PeerGone));
        assert_eq!(clients.find(&token), Ok(&stays[0]));
    }
}
