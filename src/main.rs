//! The executable; everything is in the library.

#![recursion_limit = "256"] // as in the library

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    scaidns::cli::run().await
}
