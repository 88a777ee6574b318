//! dev
#[derive(clap::Args)]
pub struct DevArgs {}
pub async fn run(_: DevArgs) -> anyhow::Result<()> {
    Ok(())
}
