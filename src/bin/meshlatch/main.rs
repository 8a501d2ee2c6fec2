fn main() {
    let text = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let mut diags = meshlatch::diag::Diagnostics::new();
    let source = match meshlatch::syntax::decode("topology.yaml", text, &mut diags) {
        Ok(s) => s,
        Err((s, _)) => s,
    };
    let mesh = meshlatch::compile(&source, &Default::default(), &mut diags);
    eprintln!("{}", meshlatch::diag::render(&diags, &source, false));
    if let Ok(mesh) = mesh {
        for (id, name) in mesh.clusters() {
            match mesh.bundle(id) {
                meshlatch::Outcome::Ready(b) => {
                    for (path, file) in b.files() {
                        println!("=== {name}/{path}\n{}", file.text);
                    }
                }
                meshlatch::Outcome::Waiting(w) => println!("{name} waits {w:?}"),
            }
        }
    }
}
