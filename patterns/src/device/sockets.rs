//! The sockets that a device is made of.

use std::sync::Arc;

use super::Kind;
use super::capture::{CaptureType, Outlet};
use super::ends::Socket;
use super::error::Error;
use super::forwarder::Forwarder;
use super::place::Side;
use super::queue::Queue;
use super::streamer::Streamer;
use super::traffic::Traffic;
use crate::engine::Engine;
use crate::socket::{self, Dealer, Options, Pub, Pull, Push, Router, XPub, XSub};

/// What controllers may cost.
const CONTROLLERS_MAX: usize = 64;
const COMMAND_BYTES_MAX: u64 = 4 * 1024;

/// The socket that copies go out by.
pub(super) fn capture_by(
    capture: CaptureType,
    options: Options,
) -> Result<(Socket, Outlet), Error> {
    match capture {
        CaptureType::Publish => {
            let socket = Arc::new(Pub::with(options).map_err(of(Side::Capture))?);
            Ok((socket.clone(), Outlet::Publish(socket)))
        }
        CaptureType::Push => {
            let socket = Arc::new(Push::with(options).map_err(of(Side::Capture))?);
            Ok((socket.clone(), Outlet::Push(socket)))
        }
    }
}

/// An error of one side's socket.
pub(super) fn of(side: Side) -> impl Fn(socket::Error) -> Error {
    move |error| Error::Socket { side, error }
}

/// The sockets of both sides, and what passes between them.
pub(super) fn sides(
    kind: Kind,
    options: Options,
) -> Result<(Socket, Socket, Box<dyn Traffic>), Error> {
    // A peer that is away is passed over.
    let back_options = options.clone().immediate(true);
    match kind {
        Kind::Queue => {
            let front = Arc::new(Router::with(options.clone()).map_err(of(Side::Frontend))?);
            let back = Arc::new(Dealer::with(back_options).map_err(of(Side::Backend))?);
            let traffic = Queue::new(front.clone(), back.clone(), &options);
            Ok((front, back, Box::new(traffic)))
        }
        Kind::Forwarder => {
            let front = Arc::new(XSub::with(options.clone()).map_err(of(Side::Frontend))?);
            let back = Arc::new(XPub::with(back_options).map_err(of(Side::Backend))?);
            let traffic = Forwarder::new(front.clone(), back.clone(), &options);
            let traffic = traffic.map_err(of(Side::Frontend))?;
            Ok((front, back, Box::new(traffic)))
        }
        Kind::Streamer => {
            let front = Arc::new(Pull::with(options).map_err(of(Side::Frontend))?);
            let back = Arc::new(Push::with(back_options).map_err(of(Side::Backend))?);
            let traffic = Streamer::new(front.clone(), back.clone());
            Ok((front, back, Box::new(traffic)))
        }
    }
}

pub(super) fn control_options() -> Result<Options, Error> {
    // On an engine of its own: commands cost the messages' thread nothing.
    let engine = Engine::new().map_err(Error::System)?;
    Ok(Options::new()
        .engine(&engine)
        .frame_bytes_max(COMMAND_BYTES_MAX)
        .message_bytes_max(COMMAND_BYTES_MAX)
        .frames_max(64)
        .recv_messages_max(64)
        .connections_max(CONTROLLERS_MAX))
}
