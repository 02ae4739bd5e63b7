//! Pausing, changing and asking a device, by its handle and by commands.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{LIMIT, Running, name, until};
use crate::device::{Builder, Device, Place, Places, Side, State};
use crate::{Message, Rep, Req};

fn echoing(builder: Builder) -> (Running, Rep, Req) {
    let device = Running::new(builder.frontend(&name("front")).backend(&name("back")));
    let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
    let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
    (device, worker, client)
}

fn round_trip(worker: &Rep, client: &Req, text: &str) {
    client.send(text).unwrap();
    let request = worker.recv_timeout(LIMIT).unwrap();
    worker.send(request).unwrap();
    assert_eq!(client.recv_timeout(LIMIT).unwrap(), Message::from(text));
}

fn asks(control: &Req, command: &str) -> String {
    control.send(command).unwrap();
    let answer = control.recv_timeout(LIMIT).unwrap();
    answer[0].to_str().unwrap().to_owned()
}

#[test]
fn nothing_passes_while_it_is_paused() {
    let (device, worker, client) = echoing(Device::queue());
    for n in 0..20 {
        round_trip(&worker, &client, &format!("before {n}"));
        assert!(device.handle.pause());
        assert_eq!(device.handle.state(), State::Paused);
        client.send(format!("meanwhile {n}")).unwrap();
        assert!(worker.try_recv().is_err());
        assert_eq!(device.handle.statistics().from_frontend.messages, n * 2 + 1);
        assert!(device.handle.resume());
        let request = worker.recv_timeout(LIMIT).unwrap();
        worker.send(request).unwrap();
        client.recv_timeout(LIMIT).unwrap();
    }
}

#[test]
fn commands_are_answered_and_others_are_told_what_there_is() {
    let (device, worker, client) = echoing(Device::queue().control(&name("control")));
    let control = Req::connect(&device.endpoint(Side::Control)).unwrap();
    // Its thread has begun.
    round_trip(&worker, &client, "at first");
    assert_eq!(asks(&control, "PAUSE"), "OK");
    assert_eq!(device.handle.state(), State::Paused);
    assert_eq!(asks(&control, "pause"), "OK");
    assert_eq!(asks(&control, " Resume\n"), "OK");
    assert_eq!(device.handle.state(), State::Running);
    round_trip(&worker, &client, "while watched");
    let json = asks(&control, "STATISTICS");
    assert!(
        json.starts_with(r#"{"device":"queue","state":"running","#),
        "{json}"
    );
    assert!(
        json.contains(r#""from_frontend":{"messages":2,"bytes":"#),
        "{json}"
    );
    for odd in ["", "STOP", "PAUSE NOW", "TERMINATED"] {
        let answer = asks(&control, odd);
        assert!(answer.starts_with("ERROR no such command"), "{answer}");
        assert!(answer.contains("PAUSE, RESUME, RELOAD, STATISTICS, TERMINATE"));
    }
    control.send(["PAUSE", "TWICE"]).unwrap();
    let answer = control.recv_timeout(LIMIT).unwrap();
    assert!(answer[0].starts_with(b"ERROR"));
    assert!(asks(&control, "RELOAD").starts_with("ERROR there is no configuration file"));
    assert_eq!(device.handle.state(), State::Running);
    assert_eq!(asks(&control, "TERMINATE"), "OK");
    until("the end", || device.handle.state() == State::Ended);
}

#[test]
fn reloading_answers_with_what_has_changed_or_why_nothing_has() {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    let more = name("more");
    let places: Place = more.parse().unwrap();
    let builder = Device::queue()
        .control(&name("control"))
        .on_reload(move |handle| {
            if TIMES.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err("line 3: no".into());
            }
            let mut wanted = Places::new();
            for change in handle.endpoints() {
                let place = Place::list(&change.endpoint.to_string()).unwrap();
                wanted.add(change.side, place[0].clone());
            }
            wanted.add(Side::Frontend, places.clone());
            let changes = handle.set_places(&wanted).map_err(|e| e.to_string())?;
            Ok(changes[0].to_string())
        });
    let (device, worker, _) = echoing(builder);
    let control = Req::connect(&device.endpoint(Side::Control)).unwrap();
    assert_eq!(asks(&control, "RELOAD"), "ERROR line 3: no");
    assert_eq!(
        asks(&control, "RELOAD"),
        format!("OK\nadded frontend {more}")
    );
    let client = Req::connect(&more).unwrap();
    round_trip(&worker, &client, "by the new way");
}

#[test]
fn a_device_may_be_paused_before_it_runs() {
    let device = Device::queue()
        .frontend(&name("front"))
        .backend(&name("back"))
        .build()
        .unwrap();
    let handle = device.handle();
    assert_eq!(handle.state(), State::Ready);
    assert!(handle.pause());
    let thread = std::thread::spawn(move || device.run().unwrap());
    until("the pause", || handle.state() == State::Paused);
    assert!(handle.resume());
    handle.terminate();
    assert!(!handle.pause());
    assert!(thread.join().unwrap().took < LIMIT / 2);
    assert!(handle.set_places(&Places::new()).is_err());
}
