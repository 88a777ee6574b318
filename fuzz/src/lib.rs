//! A program for each target of `scaidns::fuzzing`, driven by libFuzzer. What is tried, and what must hold, is there.

pub use libfuzzer_sys;
pub use scaidns;

/// The target's seeds into the folder `FUZZ_SEEDS`, where it is given, before the corpus is read.
pub fn lay_out(target: &str, seeds: Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").filter(|folder| !folder.is_empty()) else { return };
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("a folder for the seeds");
    for (position, seed) in seeds.into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{target}-{position:03}")), seed).expect("the seed is written");
    }
}

/// The program of one target.
#[macro_export]
macro_rules! drive {
    ($target:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::lay_out(stringify!($target), $crate::scaidns::fuzzing::$target::seeds()),
            |input: &[u8]| {
                $crate::scaidns::fuzzing::$target::run(input);
            }
        );
    };
}
