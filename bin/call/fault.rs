//! What went wrong, in words and as an exit code.

use std::fmt;

use brokerless::{Code, RpcError};

use super::json::Json;

/// The exit codes beside 0.
pub(super) mod exit {
    /// The call failed.
    pub(crate) const FAILED: u8 = 1;
    /// What was given cannot be used.
    pub(crate) const USAGE: u8 = 2;
    /// No node could be reached, or the connection was lost.
    pub(crate) const UNREACHABLE: u8 = 3;
    /// The deadline passed.
    pub(crate) const DEADLINE: u8 = 4;
    /// 128 and the number of SIGINT.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// Why the program ends without what was asked for.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: u8,
    text: String,
    /// Lines below it.
    notes: Vec<String>,
    /// The signature of the method that it is about.
    signature: Option<String>,
    /// What programs are told beside it.
    told: Vec<(String, Json)>,
}

impl Fault {
    pub(super) fn new(code: u8, text: impl Into<String>) -> Self {
        Fault {
            code,
            text: text.into(),
            notes: Vec::new(),
            signature: None,
            told: Vec::new(),
        }
    }

    /// What was given cannot be used; nothing was called.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Fault::new(exit::USAGE, text)
    }

    /// Something of this side failed.
    pub(super) fn run(text: impl Into<String>) -> Self {
        Fault::new(exit::FAILED, text)
    }

    /// A call that failed.
    pub(super) fn of(error: &RpcError) -> Self {
        let code = match error.code() {
            Code::Unavailable => exit::UNREACHABLE,
            Code::DeadlineExceeded => exit::DEADLINE,
            _ => exit::FAILED,
        };
        Fault::new(code, error.to_string()).telling(error)
    }

    /// The same, with what programs are told of a call's error.
    pub(super) fn telling(mut self, error: &RpcError) -> Self {
        let mut tell = |key: &str, value: Json| self.told.push((key.to_owned(), value));
        tell("code", Json::text(error.code().name()));
        tell("status", Json::text(error.message()));
        tell("ran", Json::text(error.ran().to_string()));
        if let Some(node) = error.node() {
            tell("node", Json::text(node));
        }
        if let Some(after) = error.retry_after() {
            let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            tell("retry_after_ms", ms.into());
        }
        self
    }

    /// The same, with a line below it.
    pub(super) fn note(mut self, line: impl Into<String>) -> Self {
        self.notes.push(line.into());
        self
    }

    /// The same, with the signature of the method that it is about.
    pub(super) fn about(mut self, signature: impl Into<String>) -> Self {
        self.signature = Some(signature.into());
        self
    }

    /// The same, with something for programs.
    pub(super) fn tell(mut self, key: &str, value: Json) -> Self {
        self.told.push((key.to_owned(), value));
        self
    }

    /// One JSON object, for programs.
    pub(super) fn json(&self) -> Json {
        let mut entries = vec![
            ("exit".to_owned(), Json::Uint(self.code.into())),
            ("message".to_owned(), Json::text(&*self.text)),
        ];
        entries.extend(self.told.clone());
        if !self.notes.is_empty() {
            let notes = self.notes.iter().map(|note| Json::text(&**note)).collect();
            entries.push(("notes".to_owned(), Json::Array(notes)));
        }
        if let Some(signature) = &self.signature {
            entries.push(("signature".to_owned(), Json::text(&**signature)));
        }
        Json::object([("error", Json::Object(entries))])
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        for line in self.notes.iter().chain(&self.signature) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}
