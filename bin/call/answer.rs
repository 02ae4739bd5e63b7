//! What came back: to standard output as JSON, to files as it is.
//!
//! # Invariants
//!
//! 1. A file that was there is left alone until there is something to be put into it. (held by
//!    [`Output::check`], which opens nothing)

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use brokerless::patterns::Frame;
use brokerless::wire::{
    DecodeError, Payload, decode_blob, decode_blobs, decode_optional_blob, decode_value,
};

use super::fault::Fault;
use super::json::Json;
use super::method::Method;
use super::types::Type;
use super::value::{Value, base64};

/// An answer, or an item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Json(Json),
    /// Bytes that may go to a file as they are.
    Bytes(Frame),
    /// Blobs.
    Blobs(Vec<Frame>),
}

impl Content {
    /// What a method gave.
    pub(super) fn of(method: &Method, payload: &Payload) -> Result<Self, DecodeError> {
        if method.is_raw() {
            return Ok(Content::Bytes(payload.body.clone()));
        }
        Content::decode(&method.returns, payload)
    }

    /// A value of this type.
    pub(super) fn decode(ty: &Type, payload: &Payload) -> Result<Self, DecodeError> {
        let Payload { body, blobs } = payload;
        Ok(match ty {
            Type::Blob => Content::Bytes(decode_blob(body, blobs)?.into_frame()),
            Type::Option(of) if **of == Type::Blob => match decode_optional_blob(body, blobs)? {
                Some(blob) => Content::Bytes(blob.into_frame()),
                None => Content::Json(Json::Null),
            },
            Type::List(of, _) if **of == Type::Blob => {
                let blobs = decode_blobs(body, blobs)?.into_iter();
                Content::Blobs(blobs.map(|blob| blob.into_frame()).collect())
            }
            ty => match decode_value::<Value>(body)? {
                Value::Bytes(bytes) if ty.is_bytes() => Content::Bytes(bytes.into()),
                value => Content::Json(value.json(ty)),
            },
        })
    }

    pub(super) fn json(self) -> Json {
        match self {
            Content::Json(json) => json,
            Content::Bytes(bytes) => base64(&bytes),
            Content::Blobs(blobs) => Json::Array(blobs.iter().map(|blob| base64(blob)).collect()),
        }
    }
}

/// Where answers go.
#[derive(Debug)]
pub(super) struct Output {
    file: Option<PathBuf>,
    pretty: bool,
}

impl Output {
    /// To this file, or to standard output.
    pub(super) fn new(file: Option<&Path>) -> Self {
        Output {
            file: file.map(Path::to_owned),
            pretty: io::stdout().is_terminal(),
        }
    }

    /// Whether a file could be there: what a call gave is not to be lost for a slip of the pen.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let Some(file) = self.file.as_deref().filter(|file| *file != Path::new("-")) else {
            return Ok(());
        };
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let wrong = if file.is_dir() {
            "it is a folder"
        } else if !folder.is_dir() {
            "there is no such folder"
        } else {
            return Ok(());
        };
        let file = file.display();
        Err(Fault::usage(format!("cannot write to {file}: {wrong}")))
    }

    /// Where items go, one after the other.
    pub(super) fn items(&self) -> Result<Items, Fault> {
        let to: Box<dyn Write> = match self.file.as_deref() {
            None => Box::new(io::stdout()),
            Some(file) if file == Path::new("-") => Box::new(io::stdout()),
            Some(file) => {
                let made = File::create(file).map_err(|error| {
                    Fault::run(format!("cannot write to {}: {error}", file.display()))
                })?;
                Box::new(made)
            }
        };
        Ok(Items {
            to: BufWriter::new(to),
            as_they_are: self.file.is_some(),
        })
    }

    /// Puts an answer where it goes.
    pub(super) fn put(&self, content: Content) -> Result<u8, Fault> {
        let Some(file) = &self.file else {
            return super::print(&(content.json().print(self.pretty) + "\n"));
        };
        let written = match content {
            Content::Json(json) => write(file, (json.print(false) + "\n").as_bytes()),
            Content::Bytes(bytes) => write(file, &bytes),
            Content::Blobs(blobs) => {
                let mut blobs = blobs.iter().enumerate();
                blobs.try_for_each(|(index, blob)| {
                    if file == Path::new("-") {
                        return write(file, blob);
                    }
                    let mut name = file.clone().into_os_string();
                    name.push(format!(".{}", index + 1));
                    write(Path::new(&name), blob)
                })
            }
        };
        written.map(|()| 0)
    }
}

/// Where items go.
pub(super) struct Items {
    to: BufWriter<Box<dyn Write>>,
    as_they_are: bool,
}

impl Items {
    /// Puts an item behind those before it.
    pub(super) fn put(&mut self, content: Content) -> io::Result<()> {
        match content {
            Content::Bytes(bytes) if self.as_they_are => self.to.write_all(&bytes),
            Content::Blobs(blobs) if self.as_they_are => {
                blobs.iter().try_for_each(|blob| self.to.write_all(blob))
            }
            other => writeln!(self.to, "{}", other.json().print(false)),
        }
    }

    /// Nothing more is at hand: what was put is to be seen.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let written = if file == Path::new("-") {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    } else {
        File::create(file).and_then(|file| {
            let mut file = BufWriter::new(file);
            file.write_all(bytes)?;
            file.flush()
        })
    };
    written.map_err(|error| {
        let file = file.display();
        Fault::run(format!(
            "the call was answered, but {file} cannot be written: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use brokerless::Blob;
    use brokerless::wire::Encoder;

    #[test]
    fn bytes_of_an_answer_are_told_from_json() {
        let mut encoder = Encoder::answer();
        encoder.put_blob(&Blob::from_static(b"abc"));
        let one = encoder.finish();
        let content = |ty: &str, payload: &Payload| Content::decode(&Type::of(ty), payload);
        let bytes = Content::Bytes(Frame::from_static(b"abc"));
        assert_eq!(content("Blob", &one), Ok(bytes.clone()));
        assert_eq!(content("Option<Blob>", &one), Ok(bytes.clone()));
        assert_eq!(bytes.json(), Json::text("YWJj"));
        assert_eq!(content("u64", &one), Ok(Content::Json(Json::Uint(0))));
        let mut encoder = Encoder::answer();
        encoder.put_blobs(&[Blob::from_static(b"a"), Blob::from_static(b"b")]);
        let two = content("Vec<Blob>", &encoder.finish()).unwrap();
        assert_eq!(two.json().print(false), "[\"YQ==\",\"Yg==\"]");
        let mut encoder = Encoder::answer();
        encoder.put_bytes(b"abc");
        let own = content("Vec<u8>", &encoder.finish());
        assert_eq!(own, Ok(Content::Bytes(Frame::from_static(b"abc"))));
        let mut encoder = Encoder::answer();
        encoder.put("x").unwrap();
        assert!(content("Blob", &encoder.finish()).is_err());
    }
}
