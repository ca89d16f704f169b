//! A reply's body, byte for byte (client-protocol 1 and 3): what was decoded, written anew, must be what came.

use quorate_core::wire::client::{MultiResult, Response};
use quorate_core::wire::records::{Acl, Id, Stat};

/// Bytes that most bodies need.
const BODY: usize = 128;

struct Bytes(Vec<u8>);

impl Bytes {
    fn int(&mut self, n: i32) -> &mut Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }
    fn long(&mut self, n: i64) -> &mut Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }
    fn buffer(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        self.int(bytes.map_or(-1, |b| b.len() as i32));
        self.0.extend_from_slice(bytes.unwrap_or_default());
        self
    }
    fn text(&mut self, text: &str) -> &mut Self {
        self.buffer(Some(text.as_bytes()))
    }
    fn stat(&mut self, s: &Stat) -> &mut Self {
        self.long(s.czxid.0).long(s.mzxid.0).long(s.ctime).long(s.mtime);
        self.int(s.version).int(s.cversion).int(s.aversion);
        self.long(s.ephemeral_owner).int(s.data_length).int(s.num_children).long(s.pzxid.0)
    }
    fn texts<T: AsRef<str>>(&mut self, list: &[T]) -> &mut Self {
        self.int(list.len() as i32);
        list.iter().for_each(|text| _ = self.text(text.as_ref()));
        self
    }
    fn id(&mut self, id: &Id<'_>) -> &mut Self {
        self.buffer(id.scheme.as_deref().map(str::as_bytes)).buffer(id.id.as_deref().map(str::as_bytes))
    }
    fn acl(&mut self, list: &[Acl<'_>]) -> &mut Self {
        self.int(list.len() as i32);
        list.iter().for_each(|entry| _ = self.int(entry.perms).id(&entry.id));
        self
    }
    fn part(&mut self, kind: i32, done: bool, err: i32) -> &mut Self {
        self.int(kind).0.push(u8::from(done));
        self.int(err)
    }
    fn results(&mut self, results: &[MultiResult<'_>]) {
        for result in results {
            match result {
                MultiResult::Created { path, stat: None } => self.part(1, false, 0).text(path),
                MultiResult::Created { path, stat: Some(stat) } => self.part(15, false, 0).text(path).stat(stat),
                MultiResult::Deleted => self.part(2, false, 0),
                MultiResult::SetData(stat) => self.part(5, false, 0).stat(stat),
                MultiResult::Checked => self.part(13, false, 0),
                MultiResult::Data { data, stat } => self.part(4, false, 0).buffer(*data).stat(stat),
                MultiResult::Children(names) => self.part(8, false, 0).texts(names),
                MultiResult::Error(err) => self.part(-1, false, err.code()).int(err.code()),
            };
        }
        self.part(-1, true, -1);
    }
}

fn bytes_of(body: &Response<'_>) -> Vec<u8> {
    let mut out = Bytes(Vec::with_capacity(BODY));
    match body {
        Response::Empty => {}
        Response::Created { path, stat } => {
            out.text(path);
            stat.iter().for_each(|stat| _ = out.stat(stat));
        }
        Response::Stat(stat) => _ = out.stat(stat),
        Response::Data { data, stat } => _ = out.buffer(*data).stat(stat),
        Response::Acl { acl, stat } => _ = out.acl(acl).stat(stat),
        Response::Names { names, stat } => {
            out.texts(names);
            stat.iter().for_each(|stat| _ = out.stat(stat));
        }
        Response::Path(path) => _ = out.buffer(path.as_deref().map(str::as_bytes)),
        Response::Multi(results) => out.results(results),
        Response::Token(token) => _ = out.buffer(*token),
        Response::Number(n) => _ = out.int(*n),
        Response::Ids(ids) => {
            out.int(ids.len() as i32);
            ids.iter().for_each(|id| _ = out.id(id));
        }
    }
    out.0
}

/// Whether the bytes behind the header are those of this body, and none without one.
///
/// # Errors
/// What had to come.
pub fn exact(body: Option<&Response<'_>>, bytes: &[u8]) -> Result<(), String> {
    let want = body.map(bytes_of).unwrap_or_default();
    if want == bytes { Ok(()) } else { Err(format!("the body must be {want:02x?}, it is {bytes:02x?}")) }
}
