//! The binary: `looma`.

fn main() -> std::process::ExitCode {
    looma::cli::main()
}
