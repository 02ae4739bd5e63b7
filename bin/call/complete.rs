//! Completions: a script for each shell, and the words that it asks this program for.

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::COMMANDS;
use super::flags::{Flags, Shell};
use super::node::Node;

/// How long the server is asked for its names: somebody waits at the keyboard.
const PATIENCE: Duration = Duration::from_millis(800);

const BASH: &str = r#"# Completions of bl-call for bash.
_bl_call() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o default -F _bl_call bl-call
"#;

const ZSH: &str = r#"#compdef bl-call
# Completions of bl-call for zsh.
_bl_call() {
    local -a found
    found=("${(@f)$("${words[1]}" complete -- "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[*]}" ]]; then
        compadd -- "${found[@]}"
    else
        _files
    fi
}
if [[ "${funcstack[1]}" = _bl_call ]]; then
    _bl_call "$@"
else
    compdef _bl_call bl-call
fi
"#;

const FISH: &str = r#"# Completions of bl-call for fish.
complete -c bl-call -f -a '(bl-call complete -- (commandline -cp | string collect) 2>/dev/null)'
complete -c bl-call -s o -l output -r -F
"#;

/// The script for a shell.
pub(super) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    }
}

/// What could stand at the end of this line, a line each.
pub(super) fn words(line: &str) -> String {
    let (before, current) = split(line);
    let mut found: Vec<String> = candidates(&before, &current)
        .into_iter()
        .filter(|word| word.starts_with(&current))
        .collect();
    found.dedup();
    found.into_iter().map(|word| word + "\n").collect()
}

fn candidates(before: &[String], current: &str) -> Vec<String> {
    let command = Flags::command();
    let option = |word: &str| {
        let mut options = command.get_arguments();
        options.find(|option| {
            let long = option
                .get_long()
                .is_some_and(|long| word == format!("--{long}"));
            let short = option.get_short();
            long || short.is_some_and(|short| word == format!("-{short}"))
        })
    };
    let takes_value = |word: &str| option(word).is_some_and(|of| of.get_action().takes_values());
    if before.last().is_some_and(|last| takes_value(last)) {
        return Vec::new();
    }
    if current.starts_with('-') {
        let shown = command.get_arguments().filter(|of| !of.is_hide_set());
        let longs = shown.filter_map(|of| of.get_long());
        let longs = longs.map(|long| format!("--{long}"));
        return longs.chain(["--help".into(), "--version".into()]).collect();
    }
    let mut places = Vec::new();
    let mut words = before.iter();
    while let Some(word) = words.next() {
        if takes_value(word) {
            words.next();
        } else if !word.starts_with('-') {
            places.push(&**word);
        }
    }
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match places[..] {
        [] => own(&["completions"]),
        ["completions"] => own(&["bash", "zsh", "fish"]),
        ["completions", ..] => Vec::new(),
        [endpoint] => {
            let mut all: Vec<String> = own(&COMMANDS);
            all.extend(names(endpoint, before, true));
            all
        }
        [endpoint, "describe"] => {
            let mut all = names(endpoint, before, false);
            all.extend(names(endpoint, before, true));
            all
        }
        [endpoint, "list" | "health"] => names(endpoint, before, false),
        _ => Vec::new(),
    }
}

/// The names of what is offered there: of methods, or of services.
fn names(endpoint: &str, before: &[String], methods: bool) -> Vec<String> {
    let mut line = vec!["bl-call", endpoint, "list", "--timeout", "1s"];
    if before.iter().any(|word| word == "--sessionless") {
        line.push("--sessionless");
    }
    let Ok(mut flags) = Flags::try_parse_from(line) else {
        return Vec::new();
    };
    flags.timeout = Some(PATIENCE);
    let Ok(node) = Node::connect(&flags) else {
        return Vec::new();
    };
    if !methods {
        return node.services().unwrap_or_default();
    }
    let services = node.all().unwrap_or_default();
    let methods = services.into_iter().flat_map(|service| service.methods);
    methods.map(|method| method.path).collect()
}

/// The words of a line after the program's, and the one that is being written.
fn split(line: &str) -> (Vec<String>, String) {
    let (mut words, mut word, mut quote, mut within) = (Vec::new(), String::new(), None, false);
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                within = true;
            }
            (None | Some('"'), '\\') => {
                word.extend(letters.next());
                within = true;
            }
            (None, c) if c.is_whitespace() => {
                if within {
                    words.push(std::mem::take(&mut word));
                    within = false;
                }
            }
            (_, c) => {
                word.push(c);
                within = true;
            }
        }
    }
    if !words.is_empty() {
        words.remove(0);
    }
    (words, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_shells_do() {
        let (before, current) = split(r#"bl-call tcp://a:1 'a b' "c\" d" e\ f g"#);
        assert_eq!(before, ["tcp://a:1", "a b", "c\" d", "e f"]);
        assert_eq!(current, "g");
        assert_eq!(split("bl-call 7070 "), (vec!["7070".into()], String::new()));
        assert_eq!(split("bl-ca"), (vec![], "bl-ca".into()));
    }

    #[test]
    fn what_needs_no_server_is_offered_without_one() {
        assert_eq!(words("bl-call completions b"), "bash\n");
        assert_eq!(words("bl-call --tim"), "--timeout\n");
        assert_eq!(words("bl-call 7070 a.b --timeout "), "");
        assert_eq!(words("bl-call comp"), "completions\n");
        assert!(!words("bl-call --").contains("--man\n"));
        // Nobody is there: the commands are, still.
        assert_eq!(words("bl-call --json tcp://127.0.0.1:1 he"), "health\n");
    }
}
