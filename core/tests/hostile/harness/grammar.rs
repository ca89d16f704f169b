//! Records as client-protocol sections 1.1, 3 and 6 write them down: a second opinion on `core::wire::client`.
//!
//! A shape is a letter a field: `i` int, `l` long, `z` boolean, `b` buffer, `s` ustring, `S` Stat, `V` vector of ustrings, `A` vector
//! of ACLs, `P` vector of pairs of ustrings.

/// What a request's body holds, as far as the rules ask for it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Whether its first ustring is null.
    pub null_path: bool,
    /// Its first ustring, as bytes.
    pub path: Vec<u8>,
    /// Its last int.
    pub int: i32,
    /// An id in an ACL is null.
    pub null_id: bool,
    /// Its last buffer is null.
    pub null_buffer: bool,
    /// Its last buffer.
    pub buffer: Vec<u8>,
}

/// A place in a record.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }
    pub fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
    pub fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }
    pub fn boolean(&mut self) -> Option<bool> {
        Some(self.take(1)?[0] != 0)
    }
    /// The outer `None`: undecodable; the inner one: null.
    pub fn buffer(&mut self) -> Option<Option<&'a [u8]>> {
        match self.int()? {
            -1 => Some(None),
            n => Some(Some(self.take(usize::try_from(n).ok()?)?)),
        }
    }

    /// Reads the fields of a shape; `None`: they are not there.
    pub fn read(&mut self, shape: &str, facts: &mut Facts) -> Option<()> {
        let mut strings = 0;
        for letter in shape.chars() {
            match letter {
                'i' => facts.int = self.int()?,
                'l' => _ = self.long()?,
                'z' => _ = self.boolean()?,
                'b' => {
                    let buffer = self.buffer()?;
                    (facts.null_buffer, facts.buffer) = (buffer.is_none(), buffer.unwrap_or_default().to_vec());
                }
                's' => {
                    let string = self.buffer()?;
                    if strings == 0 {
                        facts.null_path = string.is_none();
                        facts.path = string.unwrap_or_default().to_vec();
                    }
                    strings += 1;
                }
                'S' => _ = self.take(68)?,
                'V' => {
                    let n = self.int()?;
                    if n == -1 {
                        return None;
                    }
                    for _ in 0..n {
                        self.buffer()?;
                    }
                }
                'P' => {
                    for _ in 0..self.int()? {
                        self.buffer()?;
                        self.buffer()?;
                    }
                }
                'A' => {
                    for _ in 0..self.int()? {
                        self.int()?;
                        self.buffer()?;
                        facts.null_id |= self.buffer()?.is_none();
                    }
                }
                other => panic!("no field is written {other}"),
            }
        }
        Some(())
    }
}

/// Opcodes that clients may send, with the shape of the body; multi and multiRead have their own.
pub const REQUESTS: &[(i32, &str)] = &[
    (1, "sbAi"),
    (15, "sbAi"),
    (19, "sbAi"),
    (21, "sbAil"),
    (2, "si"),
    (3, "sz"),
    (4, "sz"),
    (5, "sbi"),
    (6, "s"),
    (7, "sAi"),
    (8, "sz"),
    (12, "sz"),
    (9, "s"),
    (11, ""),
    (16, "sssl"),
    (17, "si"),
    (18, "si"),
    (100, "isb"),
    (101, "lVVV"),
    (105, "lVVVVV"),
    (106, "si"),
    (102, "b"),
    (103, "s"),
    (104, "s"),
    (107, ""),
    (-11, ""),
];

/// Every opcode of a request that a server knows.
pub fn requests() -> impl Iterator<Item = i32> {
    REQUESTS.iter().map(|(op, _)| *op).chain([14, 22])
}

/// The shape of this opcode's body; of an op of a multi as well.
pub fn request_shape(op: i32) -> Option<&'static str> {
    // check is only found inside a multi.
    if op == 13 { Some("si") } else { REQUESTS.iter().find(|(o, _)| *o == op).map(|(_, shape)| *shape) }
}

/// The body of a reply without error.
pub fn reply_shape(op: i32) -> &'static str {
    match op {
        1 | 9 => "s",
        15 | 19 | 21 => "sS",
        3 | 5 | 7 => "S",
        4 | 16 => "bS",
        6 => "AS",
        8 | 103 => "V",
        12 => "VS",
        102 => "b",
        104 | 106 => "i",
        107 => "P",
        _ => "",
    }
}

/// Whether these bytes are exactly the fields of this shape.
pub fn is(shape: &str, body: &[u8]) -> bool {
    let mut fields = Fields::new(body);
    fields.read(shape, &mut Facts::default()).is_some() && fields.is_at_end()
}

/// The ops of a multi or multiRead, as far as any multi may hold them; `None`: the list does not decode.
pub fn multi(body: &[u8]) -> Option<Vec<(i32, Facts)>> {
    let mut fields = Fields::new(body);
    let mut ops = Vec::new();
    loop {
        let (op, done, _) = (fields.int()?, fields.boolean()?, fields.int()?);
        if done {
            return Some(ops);
        }
        if !matches!(op, 1 | 2 | 4 | 5 | 8 | 13 | 15 | 19 | 21) {
            return None;
        }
        let mut facts = Facts::default();
        fields.read(request_shape(op)?, &mut facts)?;
        ops.push((op, facts));
    }
}

/// The results of a multi or multiRead: types and errors; `None`: not exactly that.
pub fn results(body: &[u8]) -> Option<Vec<(i32, i32)>> {
    let mut fields = Fields::new(body);
    let mut results = Vec::new();
    loop {
        let (kind, done, err) = (fields.int()?, fields.boolean()?, fields.int()?);
        if done {
            return (fields.is_at_end() && (kind, err) == (-1, -1)).then_some(results);
        }
        let shape = match kind {
            -1 => {
                if fields.int()? != err {
                    return None;
                }
                ""
            }
            1 | 4 | 5 | 8 | 15 => reply_shape(kind),
            2 | 13 => "",
            _ => return None,
        };
        if kind != -1 && err != 0 {
            return None;
        }
        fields.read(shape, &mut Facts::default())?;
        results.push((kind, err));
    }
}

/// Type of a notification: reply header with xid -1, then type, state 3, path.
pub fn event(frame: &[u8]) -> Option<i32> {
    let mut fields = Fields::new(frame.get(16..)?);
    let (kind, state, path) = (fields.int()?, fields.int()?, fields.buffer()?);
    (matches!(kind, 1..=4) && state == 3 && path.is_some() && fields.is_at_end()).then_some(kind)
}
