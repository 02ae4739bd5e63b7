//! Nobody reads what a device program prints: it goes on all the same.

use brokerless::patterns::Req;
use rustix::process::Signal;

use crate::support::{ANY, Device, File, asks, numbers};

/// More than a pipe and the queue of the program hold together: 64 KiB each.
const BYTES: usize = 256 << 10;
/// The longest name of a region or a zone: so that few lines are many bytes.
const NAME: &str = "a-name-of-sixty-four-bytes-which-makes-a-line-as-long-as-can-be-";

/// Has it read its file again, and say so, until it has said more than anybody keeps. How many lines
/// that were.
fn fill(control: &Req, file: &File, texts: [&str; 2]) -> u64 {
    let (mut bytes, mut lines) = (0, 0);
    for text in texts.iter().cycle() {
        file.write(text);
        // Read by itself in between it has nothing to say now.
        let answer = asks(control, "RELOAD");
        let said = answer.strip_prefix("OK").expect(&answer);
        bytes += said.len();
        lines += said.lines().filter(|line| !line.is_empty()).count() as u64;
        if bytes > BYTES {
            break;
        }
    }
    lines
}

/// Drains, and then tells whoever reads at last how many lines are missing.
fn ends(mut device: Device, lines: u64) {
    device.signal(Signal::TERM);
    assert_eq!(device.ends(), 0);
    device.read_on();
    let (_, read) = device.end();
    let shown = read.iter().filter(|line| line.contains(NAME)).count() as u64;
    assert!((1..lines).contains(&shown), "{shown} of {lines}");
}

#[test]
fn a_proxy_that_nobody_reads_answers_and_drains() {
    let file = File::new("");
    let head = format!("listen = \"{ANY}\"\ncontrol = \"{ANY}\"\n");
    let [one, two] = [1, 2].map(|weight| {
        format!(
            "{head}[[node]]\nendpoint = \"tcp://127.0.0.1:1\"\nweight = {weight}\n\
             region = \"{NAME}\"\nzone = \"{NAME}\"\n"
        )
    });
    file.write(&one);
    let mut proxy = Device::start_unread("bl-proxy", &["--config", file.path()]);
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    let lines = fill(&control, &file, [&two, &one]);
    // Read at last, it says how many are missing, and goes on as before.
    proxy.read_on();
    let dropped = numbers(&proxy.line("dropped"))["lines"];
    assert!((1..lines).contains(&dropped), "{dropped} of {lines}");
    assert!(asks(&control, "STATISTICS").starts_with('{'));

    let proxy = Device::start_unread("bl-proxy", &["--config", file.path()]);
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    let lines = fill(&control, &file, [&two, &one]);
    ends(proxy, lines);
}

#[test]
fn a_device_that_nobody_reads_answers_and_drains() {
    let file = File::new("");
    let head = format!("frontend = \"{ANY}\"\ncontrol = \"{ANY}\"\n");
    let nobody = format!("ipc:///tmp/{NAME}");
    let [one, two] = ["", "-too"]
        .map(|rest| format!("{head}backend = [\"{ANY}\", \">{nobody}\", \">{nobody}{rest}\"]\n"));
    let one = one.replace(&format!(", \">{nobody}\"]"), "]");
    file.write(&one);
    let device = Device::start_unread("bl-queue", &["--config", file.path()]);
    let control = Req::connect(device.endpoint("control")).unwrap();
    let lines = fill(&control, &file, [&two, &one]);
    ends(device, lines);
}
