//! `bl-streamer`: stands between those who have work and those who do it.
//!
//! What it is called and what it is for; the rooms are in `device/`.

mod device;

use std::process::ExitCode;

use brokerless::patterns::device::Device;

fn main() -> ExitCode {
    device::run(&device::Program {
        name: "bl-streamer",
        builder: Device::streamer,
        publishes: false,
        about: "Pass work of any number of senders on to any number of workers, each piece to one",
        details: "Senders are PUSH sockets at the frontend, which is a PULL; workers are PULL \
                  sockets at the backend, which is a PUSH and gives each worker a piece in turn. \
                  While no worker takes more, nothing is read from the senders, and nothing is \
                  dropped; what was queued for a worker that went away is counted as peer-gone.",
        examples: &[
            "bl-streamer --frontend tcp://*:5557 --backend tcp://*:5558",
            "bl-streamer --frontend 5557 --backend 5558 --capture 5559 --capture-type push",
            "bl-streamer --frontend 5557 --backend '>tcp://10.0.0.1:5558' --stats 1s",
            "bl-streamer --config streamer.toml --linger 1m",
        ],
    })
}
