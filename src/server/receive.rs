//! The threads that receive: a message to a call, and the call to whoever runs it.
//!
//! Each engine has as many of them as its default pool has seats for handlers, and one more: while
//! all seats are taken, there is one that receives. It runs inline methods itself, and queues the
//! rest.
//!
//! # Invariants
//!
//! 1. A message that cannot be read is answered where the number of its call is known, counted, and
//!    closes nothing. (test `bad_messages_are_counted_and_close_nothing`)
//! 2. What a peer sends before it says hello is answered by the way that it came. (test
//!    `a_call_through_devices_is_answered_by_its_return_path`)
//! 3. While every seat is taken, calls of other pools and inline ones go on. (test
//!    `blocking_handlers_of_one_pool_stall_no_other`)

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless_patterns::{Message, Peer, Received, tap};

use super::answer::Report;
use super::call::{Body, Call, Form, Job, Target, Work};
use super::methods::Place;
use super::owed::Note;
use super::pass::Coming;
use super::pool::Seat;
use super::serve::{Group, Moment, Phase, Shared, leaving};
use super::session::Session;
use super::stats::Count;
use super::stream::{Broken, Over};
use crate::machine::{Admit, Arrival, Cancelled, HelloRefused, Start, Versions};
use crate::metadata::Metadata;
use crate::service::{MethodInfo, Passing};
use crate::status::Status;
use crate::wire::{
    CallHead, Encoding, Envelope, Flags, Flow, Hello, PlainCall, ReturnPath, Version, Welcome,
    WireError, encode_bye, encode_welcome,
};

/// The longest time that a call may be given; what is longer is as good as without end.
const LEFT_MOST: Duration = Duration::from_secs(365 * 24 * 3600);
/// What plain calls are told apart from others by.
const VIA_PLAIN: u64 = 1;

/// A thread that receives.
pub(super) struct Receiver {
    shared: Arc<Shared>,
    group: usize,
    paths: RandomState,
    /// Whose message came last.
    last: Option<Arc<Session>>,
}

/// What an envelope says of a call, without borrowing it.
struct Head {
    target: Target,
    via: u64,
    method: Result<usize, Unknown>,
    left: Duration,
    more: bool,
    encoding: Encoding,
    body: Body,
    metadata: Metadata,
    flags: Flags,
    hops: u8,
    window: Option<Flow>,
    key: Option<u64>,
}

/// A method that no service here has.
enum Unknown {
    /// Its calls are passed on.
    Passed(Arc<str>),
    Refused(Status),
}

impl Receiver {
    pub(super) fn new(shared: Arc<Shared>, group: usize, paths: RandomState) -> Self {
        Receiver {
            shared,
            group,
            paths,
            last: None,
        }
    }

    /// Receives until the socket is closed.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        let Some(group) = shared.groups.get(self.group) else {
            return;
        };
        loop {
            if group.pool.has_added()
                && let Some((work, seat)) = group.pool.claim()
            {
                self.work(group, work, seat);
                continue;
            }
            let (peer, message) = match group.router.take() {
                Some(taken) => taken,
                None => {
                    // What it knew of the time is over.
                    Shared::forget_time();
                    // It stays here: it is large, and what is waited for is moved a few times.
                    let mut claimed = None;
                    let added = || {
                        if group.pool.has_added() {
                            claimed = group.pool.claim();
                        }
                        claimed.is_some().then_some(())
                    };
                    let received = group.router.recv_or(added);
                    if let Some((work, seat)) = claimed {
                        self.work(group, work, seat);
                        continue;
                    }
                    match received {
                        Ok(Received::Message(peer, message)) => {
                            shared.knows_time(tap::waited_until());
                            (peer, message)
                        }
                        Ok(Received::Other(())) => continue,
                        Err(_) => return,
                    }
                }
            };
            self.receive(group, &peer, message);
        }
    }

    /// Does what was added to the pool, and what else waits there.
    fn work(&self, group: &Group, work: Work, seat: Seat) {
        Shared::forget_time();
        self.shared.run_work(work, true);
        self.shared.run_waiting(group, seat);
    }

    /// A function of its own, so that what a call costs here can be counted.
    #[inline(never)]
    fn receive(&mut self, group: &Group, peer: &Peer, message: Message) {
        let now = self.shared.take_time();
        let known = match self.last.take() {
            Some(last) if last.id() == peer.id() && !last.is_gone() => Some(last),
            _ => self.shared.sessions.get(peer.id()),
        };
        if let Some(session) = &known
            && let Some(version) = session.version()
        {
            self.enveloped(group, session, Form::Session(version), message, now);
            self.last = known;
            return;
        }
        let (path, message) = match ReturnPath::split(message) {
            Ok(split) => split,
            Err(_) => return self.shared.counts.one(Count::NoEnvelope),
        };
        let session = known.or_else(|| {
            let settings = &self.shared.settings;
            let limits = match path.frames() {
                [] | [_] => settings.direct,
                _ => settings.through_device,
            };
            self.shared.session_of(peer, self.group, limits)
        });
        match session {
            Some(session) => {
                self.enveloped(group, &session, Form::Sessionless(path), message, now);
                self.last = Some(session);
            }
            None => self.shared.counts.one(Count::Late),
        }
    }

    fn enveloped(
        &self,
        group: &Group,
        session: &Arc<Session>,
        form: Form,
        message: Message,
        now: Moment,
    ) {
        let counts = &self.shared.counts;
        match Envelope::decode(message.first()) {
            Ok(Envelope::Call(call)) => {
                let head = self.head_of_call(form, call);
                self.call(group, session, head, message, now);
            }
            Ok(Envelope::Plain(call)) => {
                let head = self.head_of_plain(form, call, &message);
                self.call(group, session, head, message, now);
            }
            Ok(Envelope::Cancel { id }) => self.cancel(session, id, self.via(&form)),
            Ok(Envelope::Hello(hello)) => self.hello(session, form, hello),
            Ok(Envelope::Bye { .. }) => self.bye(session),
            // Most are picked before they come here: see hooks.rs.
            Ok(Envelope::Items(head)) => match form {
                Form::Session(_) => self.shared.items(session, &head, message),
                _ => counts.one(Count::Unexpected),
            },
            Ok(Envelope::Window { id, window }) => match form {
                Form::Session(_) => self.shared.window(session, id, window),
                _ => counts.one(Count::Unexpected),
            },
            Ok(Envelope::Stop { id }) => match session.streams.get(id).and_then(|it| it.ear()) {
                Some(ear) => ear.stop(),
                None => counts.one(Count::Unexpected),
            },
            Ok(Envelope::Credit(wish)) => match form {
                Form::Session(_) => self.shared.wishes(session, wish.calls),
                _ => counts.one(Count::Unexpected),
            },
            Ok(Envelope::Reply(_) | Envelope::Error(_) | Envelope::Welcome(_)) => {
                counts.one(Count::Unexpected)
            }
            Ok(Envelope::Unknown { .. }) => counts.one(Count::UnknownKind),
            Err(error) => self.malformed(session, form, error),
        }
    }

    /// What tells the calls of one return path from those of others of the same peer.
    fn via(&self, form: &Form) -> u64 {
        match form {
            Form::Session(_) => 0,
            Form::Sessionless(path) if path.is_empty() => 0,
            Form::Sessionless(path) => {
                let frames: Vec<&[u8]> = path.frames().iter().map(|frame| &frame[..]).collect();
                self.paths.hash_one(frames) | 2
            }
            Form::Plain(_) => VIA_PLAIN,
        }
    }

    fn find(&self, path: &str) -> Result<usize, Unknown> {
        let methods = &self.shared.methods;
        methods
            .find(path)
            .ok_or_else(|| match self.shared.fallback {
                Some(_) => Unknown::Passed(Arc::from(path)),
                None => Unknown::Refused(Status::unimplemented(methods.unknown(path))),
            })
    }

    fn head_of_call(&self, form: Form, call: CallHead<'_>) -> Head {
        let metadata = if call.metadata.is_empty() {
            Metadata::new()
        } else {
            call.metadata.to_metadata()
        };
        Head {
            via: self.via(&form),
            target: Target {
                form,
                id: call.id,
                oneway: call.flags.has(Flags::ONEWAY),
            },
            method: self.find(call.method),
            left: Duration::from_micros(call.left_us).min(LEFT_MOST),
            more: call.flags.has(Flags::MORE),
            encoding: call.encoding,
            body: Body::Frames,
            metadata,
            flags: call.flags,
            hops: call.hops,
            window: call.window,
            key: call.key,
        }
    }

    fn head_of_plain(&self, form: Form, call: PlainCall<'_>, message: &Message) -> Head {
        let form = match form {
            Form::Sessionless(path) => Form::Plain(path),
            form => form,
        };
        let method = self.find(call.method);
        let info = method
            .as_ref()
            .ok()
            .and_then(|index| self.shared.methods.get(*index));
        let timeout = info.and_then(|method| method.info.timeout);
        Head {
            via: self.via(&form),
            target: Target {
                form,
                id: 0,
                oneway: false,
            },
            method,
            // It names no deadline.
            left: timeout.unwrap_or(self.shared.settings.plain_timeout),
            more: false,
            encoding: Encoding::MessagePack,
            body: Body::within(message.first(), call.arguments),
            metadata: Metadata::new(),
            flags: Flags::empty(),
            hops: 0,
            window: None,
            key: None,
        }
    }

    fn call(
        &self,
        group: &Group,
        session: &Arc<Session>,
        head: Head,
        message: Message,
        now: Moment,
    ) {
        let shared = &self.shared;
        shared.counts.one(Count::Calls);
        let no = |target: &Target, status: &Status, why: Count| {
            shared.counts.one(why);
            shared.say_no(session, target, status, Report::default());
        };
        let index = match &head.method {
            Ok(index) => *index,
            Err(Unknown::Refused(status)) => {
                return no(&head.target, status, Count::UnknownMethod);
            }
            Err(Unknown::Passed(path)) => {
                let path = path.clone();
                return self.pass(session, head, path, message, now);
            }
        };
        let bytes = match self.bytes_of(&head.body, &message) {
            Ok(bytes) => bytes,
            Err(status) => return no(&head.target, &status, Count::TooLarge),
        };
        let in_session = matches!(head.target.form, Form::Session(_));
        if !in_session && shared.phase() >= Phase::Draining {
            // It cannot be told before it sends.
            return no(&head.target, &leaving(), Count::Draining);
        }
        let Some(method) = shared.methods.get(index) else {
            return;
        };
        if (head.flags.streams() || method.info.is_stream())
            && let Err((status, why)) = accept_stream(&head, method.info)
        {
            return no(&head.target, &status, why);
        }
        if !shared.takes(session, index) {
            return shared.is_busy(session, &head.target);
        }
        let place = method.place;
        let seat = match place {
            Place::Default => group.pool.seat(method.learned.is_quick()),
            Place::Inline | Place::Named(_) => None,
        };
        let runs_here = seat.is_some() || place == Place::Inline;
        let deadline = now.instant + head.left;
        let mut state = session.lock();
        let id = match head.target.form {
            Form::Plain(_) => state.next_number(),
            Form::Session(_) | Form::Sessionless(_) => head.target.id,
        };
        let arrival = Arrival {
            id,
            via: head.via,
            bytes,
            deadline: now.time.after(head.left),
            used_up: head.more,
        };
        let admitted = state.machine.arrive(now.time, arrival);
        let begun = match admitted {
            Admit::Run(ticket) if runs_here => state.machine.start(now.time, ticket),
            _ => Start::Run,
        };
        drop(state);
        match (admitted, begun) {
            (Admit::Run(ticket), Start::Run) => {
                shared.in_flight.begins();
                let call = Call {
                    target: head.target,
                    ticket,
                    method: index,
                    deadline,
                    encoding: head.encoding,
                    body: head.body,
                    metadata: head.metadata,
                    window: head.window,
                };
                if runs_here {
                    if place == Place::Default {
                        shared.hand_on(session, index);
                    }
                    shared.run(session, &call, &message, now);
                } else {
                    let session = session.clone();
                    let job = Job {
                        session,
                        call,
                        message,
                    };
                    match place {
                        Place::Named(pool) => {
                            if let Some(pool) = shared.named.get(pool) {
                                shared.enqueue(group, pool, job, false);
                            }
                        }
                        Place::Default | Place::Inline => {
                            shared.enqueue(group, &group.pool, job, true);
                        }
                    }
                }
            }
            (Admit::Run(_), Start::Refused(refusal, credit))
            | (Admit::Refused(refusal, credit), _) => {
                shared.gives_back(session, index);
                shared.turn_away(session, &head.target, refusal, credit);
            }
            (Admit::Run(_), Start::Gone) => {
                shared.gives_back(session, index);
                shared.counts.one(Count::Abandoned);
            }
            (Admit::Duplicate, _) => {
                shared.gives_back(session, index);
                shared.counts.one(Count::Duplicate);
            }
        }
        if let Some(seat) = seat {
            shared.run_waiting(group, seat);
        }
    }

    /// A call of a method that no service here has, and that is passed on.
    fn pass(
        &self,
        session: &Arc<Session>,
        head: Head,
        path: Arc<str>,
        message: Message,
        now: Moment,
    ) {
        let shared = &self.shared;
        let Some(fallback) = &shared.fallback else {
            return;
        };
        let no = |target: &Target, status: &Status, why: Count| {
            shared.counts.one(why);
            shared.say_no(session, target, status, Report::default());
        };
        let bytes = match self.bytes_of(&head.body, &message) {
            Ok(bytes) => bytes,
            Err(status) => return no(&head.target, &status, Count::TooLarge),
        };
        let in_session = matches!(head.target.form, Form::Session(_));
        if !in_session && shared.phase() >= Phase::Draining {
            // It cannot be told before it sends.
            return no(&head.target, &leaving(), Count::Draining);
        }
        if head.flags.streams()
            && let Err((status, why)) = may_stream(&head, &path)
        {
            return no(&head.target, &status, why);
        }
        let call = Passing {
            path,
            payload: head.body.into_payload(message),
            encoding: head.encoding,
            metadata: head.metadata,
            flags: Flags(head.flags.0 & !Flags::MORE.0),
            hops: head.hops,
            window: head.window,
            key: head.key,
            deadline: now.instant + head.left,
        };
        let coming = Coming {
            target: head.target,
            via: head.via,
            bytes,
            more: head.more,
            call,
        };
        shared.pass(fallback, session, coming, now.time);
    }

    /// Bytes of the arguments and blobs, if each part is within the limit.
    fn bytes_of(&self, body: &Body, message: &Message) -> Result<u64, Status> {
        let (body, blobs) = body.of(message);
        let settings = &self.shared.settings;
        let all = body.len() + blobs.iter().map(|blob| blob.len()).sum::<usize>();
        // What all of them are within, each is.
        if all as u64 <= settings.blob_bytes_max.min(settings.call_bytes_max) {
            return Ok(all as u64);
        }
        let most = settings.blob_bytes_max;
        let mut bytes = 0u64;
        let parts = std::iter::once(body).chain(blobs.iter().map(|blob| &blob[..]));
        for (index, part) in parts.enumerate() {
            let length = part.len() as u64;
            if length > most {
                let what = match index {
                    0 => "the arguments have".to_owned(),
                    _ => format!("blob {} has", index - 1),
                };
                return Err(Status::resource_exhausted(format!(
                    "{what} {length} bytes: at most {most} are taken; raise the server's option blob_bytes_max, or send it in parts"
                )));
            }
            bytes = bytes.saturating_add(length);
        }
        let most = settings.call_bytes_max;
        if bytes > most {
            return Err(Status::resource_exhausted(format!(
                "the call has {bytes} bytes in {} blobs and its arguments: at most {most} are taken; raise the server's option call_bytes_max, or send it in parts",
                blobs.len()
            )));
        }
        Ok(bytes)
    }

    fn cancel(&self, session: &Session, id: u64, via: u64) {
        self.cancel_call(session, id, via);
        // Whoever sees it counted finds that its handler is told.
        self.shared.counts.one(Count::Cancels);
    }

    fn cancel_call(&self, session: &Session, id: u64, via: u64) {
        let shared = &self.shared;
        let cancelled = session.lock().machine.cancel(id, via);
        let ticket = match cancelled {
            Cancelled::Waiting(ticket) => ticket,
            Cancelled::Running(ticket) => {
                if via == 0
                    && let Some(stream) = session.streams.get(id)
                {
                    shared.cut(&stream, Over::Cancelled);
                } else {
                    shared.tell_gone(session, ticket, &Over::Cancelled.status());
                }
                return;
            }
            Cancelled::Unknown => return,
        };
        let default = shared.groups.get(session.group).map(|group| &group.pool);
        let removed = default
            .into_iter()
            .chain(&shared.named)
            .find_map(|pool| pool.remove(session.id(), &ticket));
        // Whoever has it in hand learns when starting it that it is cancelled.
        if let Some(Work::Call(job)) = removed {
            let status = Status::cancelled("the caller cancelled the call before it was begun");
            shared.refuse(&job, &status, Count::Cancelled);
        }
    }

    fn hello(&self, session: &Session, form: Form, hello: Hello<'_>) {
        let shared = &self.shared;
        let refused = |status: Status, form: &Form| {
            shared.counts.one(Count::HelloRefused);
            let target = Target {
                form: form.clone(),
                id: 0,
                oneway: false,
            };
            shared.say_no(session, &target, &status, Report::default());
        };
        if let Form::Sessionless(path) = &form
            && !path.is_empty()
        {
            let status = Status::failed_precondition(
                "a session needs a connection of its own: through devices and from a REQ socket, send calls without one",
            );
            return refused(status, &form);
        }
        let ours = Versions {
            newest: Version::NEWEST.number(),
            oldest: Version::OLDEST.number(),
        };
        let theirs = Versions {
            newest: hello.version,
            oldest: hello.oldest,
        };
        let mut state = session.lock();
        let mut says_bye = shared.phase() >= Phase::Draining && state.machine.drain();
        let terms = state.machine.hello(ours, theirs);
        if let Ok(terms) = &terms
            && let Some(version) = Version::from_number(terms.version)
        {
            session.greet(version, hello.name);
        }
        // A drain that began meanwhile has passed this session by.
        says_bye |= shared.phase() >= Phase::Draining && state.machine.drain();
        drop(state);
        match terms {
            Ok(terms) => {
                let welcome = Welcome {
                    version: terms.version,
                    credit: shared.first_window(session, terms.credit),
                    blob_bytes_max: shared.settings.blob_bytes_max,
                    name: &shared.settings.name,
                    call_bytes_max: shared.settings.call_bytes_max,
                    pulls: shared.pull.is_some(),
                    wants_keys: shared.fallback.is_some(),
                };
                let welcome = Message::single(encode_welcome(&welcome));
                shared.tell(session, Note::Welcome, welcome);
            }
            Err(HelloRefused::Draining) => refused(leaving(), &form),
            // The wire words it as the machine sees it.
            Err(_) => match Version::agree(hello.version, hello.oldest) {
                Err(status) => refused(status, &form),
                Ok(_) => refused(Status::internal("the versions were not agreed on"), &form),
            },
        }
        if says_bye {
            let left = shared.drain.left_us(Instant::now());
            shared.tell(session, Note::Bye, Message::single(encode_bye(left)));
        }
    }

    fn bye(&self, session: &Session) {
        session.lock().machine.bye();
        self.shared.drain.moved(self.shared.phase());
    }

    fn malformed(&self, session: &Session, form: Form, error: WireError) {
        let shared = &self.shared;
        if let (Some(id), Form::Session(_)) = (error.stream_id(), &form) {
            let broken = Broken::Malformed(Status::from(error));
            match session.streams.get(id) {
                Some(stream) => drop(shared.cut(&stream, Over::Broken(broken))),
                None => shared.counts.one(Count::StreamOver),
            }
            return;
        }
        let id = error.call_id();
        let target = match (id, form) {
            (Some(id), form) => Target {
                form,
                id,
                oneway: false,
            },
            // A REQ socket waits for an answer, whatever it sent.
            (None, Form::Sessionless(path)) if !path.is_empty() => Target {
                form: Form::Plain(path),
                id: 0,
                oneway: false,
            },
            (None, _) => return shared.counts.one(Count::NoEnvelope),
        };
        if id.is_some() {
            shared.counts.one(Count::Calls);
            shared.counts.one(Count::Malformed);
        } else {
            shared.counts.one(Count::NoEnvelope);
        }
        shared.say_no(session, &target, &Status::from(error), Report::default());
    }
}

/// Whether a call carries items in the directions in which its method does, and may.
fn accept_stream(head: &Head, info: &MethodInfo) -> Result<(), (Status, Count)> {
    let path = info.path;
    may_stream(head, path)?;
    let (calls, wants) = (
        (
            head.flags.has(Flags::ITEMS_IN),
            head.flags.has(Flags::ITEMS_OUT),
        ),
        (info.items_in.is_some(), info.items_out.is_some()),
    );
    if calls != wants {
        let (is, came) = (form_name(wants), form_name(calls));
        let status = Status::unimplemented(format!(
            "{path} is a method {is}: it was called as one {came}"
        ));
        return Err((status, Count::WrongForm));
    }
    Ok(())
}

/// Whether a call may carry items at all.
fn may_stream(head: &Head, path: &str) -> Result<(), (Status, Count)> {
    let Form::Session(version) = head.target.form else {
        let status = Status::failed_precondition(format!(
            "{path} carries items, which takes a session: say hello on a connection of your own first"
        ));
        return Err((status, Count::NoStreams));
    };
    if version < Version::Two {
        let status = Status::unimplemented(format!(
            "{path} carries items, which version {} of the wire has not got: bring the caller up to date",
            version.number()
        ));
        return Err((status, Count::NoStreams));
    }
    if head.target.oneway {
        let status = Status::unimplemented(format!(
            "{path} carries items, and was called without wanting an answer"
        ));
        return Err((status, Count::WrongForm));
    }
    Ok(())
}

/// The form of a method by whether its callers send and take items.
fn form_name((sends, takes): (bool, bool)) -> &'static str {
    match (sends, takes) {
        (false, false) => "without items",
        (true, false) => "that is sent items",
        (false, true) => "that sends items",
        (true, true) => "with items both ways",
    }
}
