//! `bl-forwarder`: stands between publishers and subscribers.
//!
//! What it is called and what it is for; the rooms are in `device/`.

mod device;

use std::process::ExitCode;

use brokerless::patterns::device::Device;

fn main() -> ExitCode {
    device::run(&device::Program {
        name: "bl-forwarder",
        builder: Device::forwarder,
        publishes: true,
        about: "Pass what any number of publishers publish on to any number of subscribers",
        details: "Publishers are PUB or XPUB sockets at the frontend, which is an XSUB; subscribers \
                  are SUB or XSUB sockets at the backend, which is an XPUB. Publishers are asked \
                  for what subscribers want, each topic once; for everything, if those are more \
                  than 9,999 topics or 1 MiB of them, or last values are kept. A subscriber that \
                  does not read misses what its queue has no room for, or is disconnected; both \
                  are counted as slow-subscriber.",
        examples: &[
            "bl-forwarder --frontend tcp://*:5556 --backend tcp://*:5557",
            "bl-forwarder --frontend '>tcp://10.0.0.1:5556' --backend 5557 --last-values 10000",
            "bl-forwarder --frontend 5556 --backend 5557 --slow-subscriber disconnect --stats 1s",
            "bl-forwarder --config forwarder.toml",
        ],
    })
}
