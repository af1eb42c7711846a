//! stand-in
use std::path::Path;
pub struct Request;
impl Request {
    pub fn answer(self, _s: &str) {}
}
pub fn make_directory(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(p) => std::fs::create_dir_all(p),
        None => Ok(()),
    }
}
pub fn listen(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
pub async fn serve(_l: (), _r: smol::channel::Sender<Request>) {}
