//! A port for a server that is not there, or not yet.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net;

/// A port that nobody listens at, and that nobody else is given while this is kept: who names it can
/// bind to it.
pub(crate) struct KeptPort(OwnedFd);

impl KeptPort {
    pub(crate) fn new() -> KeptPort {
        let (family, kind) = (net::AddressFamily::INET, net::SocketType::STREAM);
        let kept = net::socket(family, kind, None).expect("a socket");
        net::sockopt::set_socket_reuseaddr(&kept, true).expect("an option");
        net::bind(&kept, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
        KeptPort(kept)
    }

    pub(crate) fn endpoint(&self) -> String {
        let at = net::getsockname(&self.0).expect("it is bound");
        let at = SocketAddrV4::try_from(at).expect("an address of this family");
        format!("tcp://{at}")
    }
}
