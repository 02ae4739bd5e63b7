//! Arguments of a call from the command line: checked, and encoded.
//!
//! # Invariants
//!
//! 1. Whatever is wrong is told with the argument's name and the method's signature. (test
//!    `what_is_wrong_is_told_with_the_argument_and_the_signature`)

use brokerless::Blob;
use brokerless::patterns::Frame;
use brokerless::service::Produced;
use brokerless::wire::{EncodeError, Encoder, Payload};

use super::check::{self, Misfit};
use super::fault::Fault;
use super::input::Input;
use super::json::{Json, quoted};
use super::method::Method;
use super::nearest::nearest;
use super::types::Type;
use super::value::Value;

/// What a user gave for an argument.
#[derive(Debug, Clone)]
enum Given {
    /// As it stands on the command line.
    Word(String),
    /// In a JSON text.
    Json(Json),
}

/// An argument, or an item, to be encoded.
#[derive(Debug)]
pub(super) enum Argument {
    Value(Value),
    Blob(Blob),
    Blobs(Vec<Blob>),
}

/// The arguments of one call.
pub(super) fn encode(
    method: &Method,
    words: &[String],
    data: Option<&str>,
    input: &Input,
) -> Result<Payload, Fault> {
    let of = Of { method, input };
    if method.unchecked {
        return of.unchecked(words, data);
    }
    let given = of.given(words, data)?;
    of.encode(given)
}

/// The item that a line is, of a method that takes items of this type.
pub(super) fn item(ty: &Type, line: &str, input: &Input) -> Result<Argument, Misfit> {
    word(ty, line, input)
}

struct Of<'a> {
    method: &'a Method,
    input: &'a Input,
}

impl Of<'_> {
    fn usage(&self, text: String) -> Fault {
        Fault::usage(text).about(self.method.signature())
    }

    fn misfit(&self, index: usize, misfit: Misfit) -> Fault {
        let name = self.method.about.arguments.get(index);
        let name = name.map_or("?", |of| &of.name);
        let (at, what) = (misfit.at, misfit.what);
        let fault = self.usage(format!(
            "argument {name}{at} of {}: {what}",
            self.method.path()
        ));
        misfit.notes.into_iter().fold(fault, Fault::note)
    }

    /// The text that --data gives.
    fn data(&self, data: &str) -> Result<Json, Fault> {
        let (text, place) = match data.strip_prefix('@') {
            Some(name) => {
                let text = self.input.text(name).map_err(|what| self.usage(what))?;
                (text, from_file(name))
            }
            None => (data.to_owned(), String::new()),
        };
        Json::read(&text).map_err(|bad| {
            let path = self.method.path();
            let fault = self.usage(format!("the arguments of {path}: {place}{bad}"));
            bad.shown().into_iter().fold(fault, Fault::note)
        })
    }

    /// What was given for each argument.
    fn given(&self, words: &[String], data: Option<&str>) -> Result<Vec<Option<Given>>, Fault> {
        if let Some(data) = data {
            if !words.is_empty() {
                return Err(self.usage(
                    "--data gives all arguments: leave those of the command line out".into(),
                ));
            }
            return match self.data(data)? {
                Json::Array(values) => self.placed(values.into_iter().map(Given::Json)),
                Json::Object(entries) => self.named(entries),
                other => Err(self.usage(format!(
                    "the arguments are an array of them, or an object by their names: {other} came"
                ))),
            };
        }
        if let [word] = words
            && word.trim_start().starts_with('{')
            && let Some(entries) = self.object(word)?
        {
            return self.named(entries);
        }
        let mut slots: Vec<Option<Given>> = vec![None; self.method.arguments.len()];
        let mut placed = Vec::new();
        for word in words {
            let name = word.split_once('=');
            match name.and_then(|(name, value)| Some((self.method.index_of(name)?, value))) {
                Some((index, value)) => match slots.get_mut(index) {
                    Some(slot @ None) => *slot = Some(Given::Word(value.to_owned())),
                    _ => {
                        let name = name.map_or("", |(name, _)| name);
                        return Err(self.usage(format!("argument {name} is given twice")));
                    }
                },
                None => placed.push(word),
            }
        }
        let count = placed.len();
        let mut free = slots.iter_mut().filter(|slot| slot.is_none());
        for word in placed {
            match free.next() {
                Some(slot) => *slot = Some(Given::Word(word.clone())),
                None => return Err(self.too_many(count)),
            }
        }
        Ok(slots)
    }

    /// The entries of an only word that is an object by names, and not the value of an argument.
    fn object(&self, word: &str) -> Result<Option<Vec<(String, Json)>>, Fault> {
        let only = match &self.method.arguments[..] {
            [only] => Some(only),
            _ => None,
        };
        if only.is_some_and(|only| matches!(only.required(), Type::Text)) && !self.is_named(word) {
            return Ok(None);
        }
        let takes_it = only.is_some_and(Type::takes_object);
        match self.data(word)? {
            Json::Object(entries) if entries.is_empty() && takes_it => Ok(None),
            Json::Object(_) if takes_it && !self.is_named(word) => Ok(None),
            Json::Object(entries) => Ok(Some(entries)),
            _ => Ok(None),
        }
    }

    /// Whether every key of an object is an argument's name.
    fn is_named(&self, word: &str) -> bool {
        match Json::read(word) {
            Ok(Json::Object(entries)) => {
                let mut keys = entries.iter().map(|(key, _)| key);
                !entries.is_empty() && keys.all(|key| self.method.index_of(key).is_some())
            }
            _ => false,
        }
    }

    fn placed(
        &self,
        values: impl ExactSizeIterator<Item = Given>,
    ) -> Result<Vec<Option<Given>>, Fault> {
        let count = self.method.arguments.len();
        if values.len() > count {
            return Err(self.too_many(values.len()));
        }
        let mut slots: Vec<Option<Given>> = values.map(Some).collect();
        slots.resize(count, None);
        Ok(slots)
    }

    fn named(&self, entries: Vec<(String, Json)>) -> Result<Vec<Option<Given>>, Fault> {
        let mut slots: Vec<Option<Given>> = vec![None; self.method.arguments.len()];
        for (key, value) in entries {
            let slot = self.method.index_of(&key);
            match slot.and_then(|index| slots.get_mut(index)) {
                Some(slot) => *slot = Some(Given::Json(value)),
                None => {
                    let names = || self.method.about.arguments.iter().map(|of| &*of.name);
                    let near = nearest(&key, names());
                    let near = near.map(|near| format!(": the nearest is {near}"));
                    return Err(self.usage(format!(
                        "{} has no argument {}{}",
                        self.method.path(),
                        quoted(&key),
                        near.unwrap_or_default()
                    )));
                }
            }
        }
        Ok(slots)
    }

    fn too_many(&self, came: usize) -> Fault {
        let takes = self.method.arguments.len();
        let s = if takes == 1 { "" } else { "s" };
        self.usage(format!(
            "{} takes {takes} argument{s}: {came} came",
            self.method.path()
        ))
    }

    fn encode(&self, given: Vec<Option<Given>>) -> Result<Payload, Fault> {
        let last = given.iter().rposition(Option::is_some);
        let mut arguments = Vec::new();
        for (index, given) in given.into_iter().enumerate() {
            let Some(ty) = self.method.arguments.get(index) else {
                break;
            };
            let about = self.method.about.arguments.get(index);
            let (name, default) = about.map_or(("?", false), |of| (&*of.name, of.default));
            let fits = match given {
                Some(Given::Word(text)) => word(ty, &text, self.input).map_err(|mut misfit| {
                    misfit.notes.extend(self.no_such_name(&text));
                    misfit
                }),
                Some(Given::Json(json)) => argument(ty, &json, self.input),
                // Those at the end are the server's.
                None if default && last.is_none_or(|last| index > last) => break,
                None if matches!(ty, Type::Option(_)) => Ok(Argument::Value(Value::Nil)),
                None if default => {
                    let why = format!(
                        "argument {name} has to be given, as one after it is: there is no default to send"
                    );
                    return Err(self.usage(why));
                }
                None => {
                    let path = self.method.path();
                    return Err(self.usage(format!("argument {name} of {path} is missing")));
                }
            };
            arguments.push(fits.map_err(|misfit| self.misfit(index, misfit))?);
        }
        if self.method.is_raw() {
            let bytes = arguments.pop().map(raw).unwrap_or_default();
            return Ok(Payload::raw(bytes));
        }
        let mut encoder = Encoder::arguments(arguments.len());
        for (index, argument) in arguments.into_iter().enumerate() {
            put(&mut encoder, argument).map_err(|misfit| self.misfit(index, misfit))?;
        }
        Ok(encoder.finish())
    }

    /// What may be meant by `z=3` where nothing is called z.
    fn no_such_name(&self, word: &str) -> Option<String> {
        let (name, _) = word.split_once('=')?;
        let of_word = |c: char| c.is_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(of_word) {
            return None;
        }
        let names = self.method.about.arguments.iter().map(|of| &*of.name);
        let near = nearest(name, names).map(|near| format!(": the nearest is {near}"));
        Some(format!(
            "no argument is called {name}{}",
            near.unwrap_or_default()
        ))
    }

    /// Arguments as they look, for a method of which nothing is known.
    fn unchecked(&self, words: &[String], data: Option<&str>) -> Result<Payload, Fault> {
        let values = match data.map(|data| self.data(data)).transpose()? {
            Some(Json::Array(values)) => values.iter().map(Value::of).collect(),
            Some(other) => {
                return Err(self.usage(format!(
                    "without reflection no names are known: the arguments are an array, and {other} came"
                )));
            }
            None => {
                let values = words
                    .iter()
                    .map(|text| match word(&Type::Other, text, self.input) {
                        Ok(Argument::Value(value)) => Ok(value),
                        Ok(_) => Ok(Value::Nil),
                        Err(misfit) => {
                            let fault = self.usage(format!("{}: {}", quoted(text), misfit.what));
                            Err(misfit.notes.into_iter().fold(fault, Fault::note))
                        }
                    });
                values.collect::<Result<Vec<Value>, Fault>>()?
            }
        };
        let mut encoder = Encoder::arguments(values.len());
        for value in values {
            put(&mut encoder, Argument::Value(value)).map_err(|misfit| self.usage(misfit.what))?;
        }
        Ok(encoder.finish())
    }
}

/// Writes an item.
pub(super) fn put_item(encoder: &mut Encoder, item: Argument) -> Result<Produced, EncodeError> {
    write(encoder, item).map(|()| Produced::Item)
}

/// The same, of a method in an encoding of its own.
pub(super) fn put_raw_item(_: &mut Encoder, item: Argument) -> Result<Produced, EncodeError> {
    Ok(Produced::Raw(raw(item)))
}

fn raw(argument: Argument) -> Frame {
    match argument {
        Argument::Value(Value::Bytes(bytes)) => bytes.into(),
        Argument::Blob(blob) => blob.into_frame(),
        Argument::Value(_) | Argument::Blobs(_) => Frame::new(),
    }
}

fn put(encoder: &mut Encoder, argument: Argument) -> Result<(), Misfit> {
    write(encoder, argument).map_err(|error| Misfit::new(error.to_string()))
}

fn write(encoder: &mut Encoder, argument: Argument) -> Result<(), EncodeError> {
    match argument {
        Argument::Value(value) => encoder.put(&value),
        Argument::Blob(blob) => {
            encoder.put_blob(&blob);
            Ok(())
        }
        Argument::Blobs(blobs) => {
            encoder.put_blobs(&blobs);
            Ok(())
        }
    }
}

/// The argument that a word of the command line, or a line of a stream, is.
fn word(ty: &Type, word: &str, input: &Input) -> Result<Argument, Misfit> {
    if matches!(ty, Type::Option(_)) && word.trim() == "null" {
        return Ok(Argument::Value(Value::Nil));
    }
    let of_file = word.strip_prefix('@');
    let json = match (ty.required(), of_file) {
        (Type::Text | Type::Char, Some(name)) => Json::Text(input.text(name).map_err(Misfit::new)?),
        (Type::Text | Type::Char, None) => match read_text(word) {
            Some(text) => Json::Text(text),
            None => Json::text(word),
        },
        (Type::Bytes(_) | Type::Blob, None) if word.trim_start().starts_with(['[', '"']) => {
            Json::read(word).map_err(Misfit::of_json)?
        }
        (Type::Bytes(_) | Type::Blob, _) => Json::text(word),
        (Type::List(of, _), _) if **of == Type::Blob && !word.trim_start().starts_with('[') => {
            Json::Array(vec![Json::text(word)])
        }
        // More digits than numbers of JSON have.
        (Type::Int { bits: 128, .. }, None) if is_whole(word) => Json::text(word),
        (_, Some(name)) => {
            let text = input.text(name).map_err(Misfit::new)?;
            Json::read(&text).map_err(|bad| {
                let mut misfit = Misfit::of_json(bad);
                misfit.what.insert_str(0, &from_file(name));
                misfit
            })?
        }
        (ty, None) => match Json::read(word) {
            Ok(json) => json,
            Err(bad) if is_bare(word) && (*ty != Type::Other || is_name(word)) => {
                // What is wrong with it, its type says; one that is not known may take it.
                drop(bad);
                Json::text(word)
            }
            Err(bad) => return Err(Misfit::of_json(bad)),
        },
    };
    argument(ty, &json, input)
}

/// Where a text is from, before what is wrong with it.
fn from_file(name: &str) -> String {
    match name {
        "-" => "standard input: ".to_owned(),
        name => format!("file {name}: "),
    }
}

/// The argument that a JSON value is.
fn argument(ty: &Type, json: &Json, input: &Input) -> Result<Argument, Misfit> {
    let blob = |json: &Json| check::bytes(json, input).map(Blob::from);
    match ty {
        Type::Blob => blob(json).map(Argument::Blob),
        Type::Option(of) if **of == Type::Blob && *json != Json::Null => {
            blob(json).map(Argument::Blob)
        }
        Type::List(of, _) if **of == Type::Blob => match json {
            Json::Array(values) => {
                let blobs = values.iter().enumerate();
                let blobs = blobs.map(|(index, json)| blob(json).map_err(|of| of.within(index)));
                blobs.collect::<Result<_, _>>().map(Argument::Blobs)
            }
            other => check::check(ty, other, input).map(Argument::Value),
        },
        ty => check::check(ty, json, input).map(Argument::Value),
    }
}

/// The text that a word in double quotes is.
fn read_text(word: &str) -> Option<String> {
    if !word.starts_with('"') {
        return None;
    }
    match Json::read(word) {
        Ok(Json::Text(text)) => Some(text),
        _ => None,
    }
}

/// Whether a word is none that was meant to be JSON of another kind than text.
fn is_bare(word: &str) -> bool {
    let starts = |c: char| "{[\"-+.".contains(c) || c.is_ascii_digit();
    !word.trim_start().starts_with(starts)
}

/// Whether a word is a whole number.
fn is_whole(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word is a name, such as that of a variant.
fn is_name(word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !word.is_empty() && word.chars().all(of_name)
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
