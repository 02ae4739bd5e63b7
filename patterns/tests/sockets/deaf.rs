//! Peers that send, and receive nothing meanwhile: what they send is seen at once.

use std::time::Duration;

use brokerless_patterns::{Dealer, Options, Router};

use crate::support::{LIMIT, bound, transports};

#[test]
fn what_a_peer_sends_that_does_not_receive_is_seen_all_the_same() {
    for endpoint in transports() {
        let options = Options::new()
            .send_bytes_max(64 * 1024)
            .send_buffer_bytes(Some(64 * 1024));
        let router = Router::with(options).unwrap();
        router.bind_to(&endpoint).unwrap();
        let deaf = Options::new().recv_messages_max(1).recv_bytes_max(1024);
        let dealer = Dealer::with(deaf).unwrap();
        dealer.connect_to(&bound(&router)).unwrap();
        dealer.send("hello").unwrap();
        let (peer, _) = router.recv_timeout(LIMIT).unwrap();
        // Its inbox is full, and so is all that is between: large messages and small ones.
        for size in [1 << 20, 1000] {
            while router.send(&peer, vec![0; size]).is_ok() {
                router.recv_timeout(Duration::from_millis(1)).unwrap_err();
            }
        }
        for n in 0..500 {
            dealer.send(n.to_string()).unwrap();
            let (_, message) = router.recv_timeout(LIMIT).expect("what it sends");
            assert_eq!(message[0], n.to_string().as_str(), "{endpoint}");
            // Behind what has filled all there is, if there is room at all.
            let _ = router.send(&peer, "an answer");
        }
        let queued = dealer.stats().recv_queue_messages;
        assert!(queued > 0, "its inbox was full all the time");
    }
}
