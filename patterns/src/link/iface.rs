//! Network interfaces by name: their addresses, and the index that an IPv6 scope needs.
//!
//! On Linux the kernel is asked over rtnetlink, which needs no more than a socket. Elsewhere
//! interface names are refused with a message that says to write the address.
//!
//! # Invariants
//!
//! 1. A reply is parsed within its bounds, whatever its length fields say.
//!    (proptest `netlink_replies_of_any_bytes_are_survived`)
//!
//! # Not here
//!
//! Host names (`resolve`).

use std::io;
use std::net::SocketAddr;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::net::ToSocketAddrs;

/// The index of the interface that `scope` names, by number or by name.
pub(super) fn scope_index(scope: &str) -> io::Result<u32> {
    if let Ok(index) = scope.parse::<u32>() {
        return Ok(index);
    }
    index_of(scope)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn index_of(name: &str) -> io::Result<u32> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
    let fd = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(netdevice::name_to_index(&fd, name)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn index_of(name: &str) -> io::Result<u32> {
    // A literal never reaches the resolver's network part, but its parser knows interfaces.
    let literal = format!("fe80::1%{name}");
    match (literal.as_str(), 1_u16).to_socket_addrs()?.next() {
        Some(SocketAddr::V6(addr)) if addr.scope_id() != 0 => Ok(addr.scope_id()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The addresses of the interface called `name`, port 0, IPv4 before IPv6.
///
/// Empty where there is no such interface or it has no address.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    match index_of(name) {
        Ok(index) => netlink::addresses(index),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("interface names such as `{name}` are known on linux only; write its address"),
    ))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) mod netlink {
    //! One rtnetlink dump of all addresses, read for one interface.

    use std::io;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
    use std::time::Duration;

    use rustix::io::retry_on_intr;
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
        sockopt,
    };

    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    const RTM_NEWADDR: u16 = 20;
    const RTM_GETADDR: u16 = 22;
    const NLM_F_REQUEST: u16 = 0x1;
    const NLM_F_DUMP: u16 = 0x300;
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    /// `struct nlmsghdr`: length u32, type u16, flags u16, sequence u32, port u32.
    const HEADER_BYTES: usize = 16;
    /// `struct ifaddrmsg`: family u8, prefix u8, flags u8, scope u8, index u32.
    const BODY_BYTES: usize = 8;
    const ATTRIBUTE_BYTES: usize = 4;
    /// The kernel sends dumps in pieces of at most 32 KiB.
    const REPLY_BYTES: usize = 32 * 1024;
    const REPLY_WITHIN: Duration = Duration::from_secs(5);

    pub(super) fn addresses(index: u32) -> io::Result<Vec<SocketAddr>> {
        // Protocol 0 of this family is NETLINK_ROUTE; unconnected, it talks to the kernel.
        let fd = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(REPLY_WITHIN))?;
        let mut request = [0_u8; HEADER_BYTES + BODY_BYTES];
        request[..4].copy_from_slice(&((HEADER_BYTES + BODY_BYTES) as u32).to_ne_bytes());
        request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
        request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        retry_on_intr(|| send(&fd, &request, SendFlags::empty()))?;

        let mut found = Vec::new();
        let mut reply = vec![0_u8; REPLY_BYTES];
        loop {
            let (count, _) = retry_on_intr(|| recv(&fd, &mut reply[..], RecvFlags::empty()))?;
            if count == 0 || read_reply(&reply[..count], index, &mut found)? {
                break;
            }
        }
        found.sort_by_key(|addr: &SocketAddr| addr.is_ipv6());
        Ok(found)
    }

    /// Takes the addresses of interface `index` out of one datagram; true once the dump is done.
    pub(in crate::link) fn read_reply(
        mut reply: &[u8],
        index: u32,
        found: &mut Vec<SocketAddr>,
    ) -> io::Result<bool> {
        while reply.len() >= HEADER_BYTES {
            let length = read_u32(reply, 0) as usize;
            if length < HEADER_BYTES || length > reply.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let body = &reply[HEADER_BYTES..length];
            match read_u16(reply, 4) {
                NLMSG_DONE => return Ok(true),
                NLMSG_ERROR if body.len() >= 4 => {
                    let code = read_u32(body, 0).cast_signed();
                    return Err(io::Error::from_raw_os_error(code.wrapping_neg()));
                }
                RTM_NEWADDR if body.len() >= BODY_BYTES && read_u32(body, 4) == index => {
                    if let Some(ip) = read_address(&body[BODY_BYTES..]) {
                        found.push(with_scope(ip, index));
                    }
                }
                _ => {}
            }
            reply = &reply[align(length).min(reply.len())..];
        }
        Ok(false)
    }

    /// The interface's own address: `IFA_LOCAL`, which only point-to-point and IPv4 ones have
    /// apart from `IFA_ADDRESS`.
    fn read_address(mut attributes: &[u8]) -> Option<IpAddr> {
        let mut address = None;
        while attributes.len() >= ATTRIBUTE_BYTES {
            let length = read_u16(attributes, 0) as usize;
            if length < ATTRIBUTE_BYTES || length > attributes.len() {
                break;
            }
            let ip = read_ip(&attributes[ATTRIBUTE_BYTES..length]);
            match read_u16(attributes, 2) {
                IFA_LOCAL if ip.is_some() => return ip,
                IFA_ADDRESS => address = ip,
                _ => {}
            }
            attributes = &attributes[align(length).min(attributes.len())..];
        }
        address
    }

    fn read_ip(bytes: &[u8]) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Some(Ipv4Addr::from(v4).into());
        }
        Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
    }

    /// An interface's address with the scope that a link-local one needs.
    fn with_scope(ip: IpAddr, index: u32) -> SocketAddr {
        match ip {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                SocketAddrV6::new(v6, 0, 0, index).into()
            }
            ip => SocketAddr::new(ip, 0),
        }
    }

    fn align(length: usize) -> usize {
        (length + 3) & !3
    }

    fn read_u16(bytes: &[u8], at: usize) -> u16 {
        u16::from_ne_bytes([bytes[at], bytes[at + 1]])
    }

    fn read_u32(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    }
}
