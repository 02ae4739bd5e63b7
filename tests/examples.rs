//! Runs each of the examples, which check themselves.
//!
//! Each is a module here: what runs is the program's own `main`, with all that it asserts.

#![allow(unreachable_pub)] // an example is a program elsewhere

/// Includes an example, and makes a test of it.
macro_rules! example {
    ($name:ident, $path:literal, $test:ident) => {
        #[path = $path]
        mod $name;

        #[test]
        fn $test() {
            if let Err(error) = $name::main() {
                panic!("{error}");
            }
        }
    };
}

example!(
    calculator,
    "../examples/calculator.rs",
    calculator_tells_its_story
);
example!(
    callbacks,
    "../examples/callbacks.rs",
    callbacks_tells_its_story
);
example!(chat, "../examples/chat.rs", chat_tells_its_story);
example!(files, "../examples/files.rs", files_tells_its_story);
example!(
    map_reduce,
    "../examples/map_reduce.rs",
    map_reduce_tells_its_story
);
example!(
    progress,
    "../examples/progress.rs",
    progress_tells_its_story
);
example!(proxy, "../examples/proxy.rs", proxy_tells_its_story);
