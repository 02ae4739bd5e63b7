//! `bl-queue`: stands between clients that ask and workers that answer.
//!
//! What it is called and what it is for; the rooms are in `device/`.

mod device;

use std::process::ExitCode;

use brokerless::patterns::device::Device;

fn main() -> ExitCode {
    device::run(&device::Program {
        name: "bl-queue",
        builder: Device::queue,
        publishes: false,
        about: "Pass requests of any number of clients on to any number of workers, \
                and the replies back",
        details: "Clients are REQ, DEALER or ROUTER sockets at the frontend, which is a ROUTER; \
                  workers are REP, ROUTER or DEALER sockets at the backend, which is a DEALER and \
                  gives each worker a request in turn. A request gets a frame put before it that \
                  names the connection it came by; a reply has to bring that frame back, as a REP \
                  does by itself. While no worker takes more, nothing is read from the clients. A \
                  reply for a client that has gone or does not read is dropped and counted.",
        examples: &[
            "bl-queue --frontend tcp://*:5559 --backend tcp://*:5560",
            "bl-queue --frontend 5559 --backend '>tcp://10.0.0.1:5560,>tcp://10.0.0.2:5560'",
            "bl-queue --frontend ipc:///run/clients --backend 5560 --control 5561 --stats 1s",
            "bl-queue --config queue.toml --linger 30s",
        ],
    })
}
