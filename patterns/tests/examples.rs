//! Runs each of the examples, which check themselves.
//!
//! Each is a module here: what runs is the program's own `main`, with all that it asserts.

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
    lazy_pirate,
    "../examples/lazy_pirate.rs",
    lazy_pirate_tells_its_story
);
example!(
    lru_queue,
    "../examples/lru_queue.rs",
    lru_queue_tells_its_story
);
example!(
    weighted_pool,
    "../examples/weighted_pool.rs",
    weighted_pool_tells_its_story
);
example!(
    paranoid_pirate,
    "../examples/paranoid_pirate.rs",
    paranoid_pirate_tells_its_story
);
example!(
    pipeline,
    "../examples/pipeline.rs",
    pipeline_tells_its_story
);
example!(
    freelance,
    "../examples/freelance.rs",
    freelance_tells_its_story
);
example!(
    scatter_gather,
    "../examples/scatter_gather.rs",
    scatter_gather_tells_its_story
);
#[cfg(feature = "bus")]
example!(
    last_value_cache,
    "../examples/last_value_cache.rs",
    last_value_cache_tells_its_story
);
