//! The executable; everything is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    scaidns::cli::run().await
}
