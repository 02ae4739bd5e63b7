//! `bl-proxy`: serves the services of a pool of nodes under one address.
//!
//! The rooms are in `proxy/`; the proxy itself is the library's.

mod proxy;

use std::process::ExitCode;

fn main() -> ExitCode {
    proxy::run()
}
