//! Every statement, so that an engine of another family needs this one file anew.
//!
//! They are standard SQL where there is a standard, and else what engines that speak
//! PostgreSQL's protocol have in common; those with `pg_notify` alone need
//! PostgreSQL's own. A statement that writes takes many rows at once, as one array
//! for each column.

use std::sync::LazyLock;

use crate::backend::{Order, row::COLUMNS};

/// How many of the columns are text; the others, behind them, are numbers.
pub(super) const TEXTS: usize = 11;

// Of a session.

/// What a session needs of every engine; its argument is milliseconds.
pub(super) fn set_timeout(millis: u128) -> String {
    format!("SET statement_timeout = {millis}")
}

/// Lets a transaction take longer than its session.
pub(super) fn set_local_timeout(millis: u128) -> String {
    format!("SET LOCAL statement_timeout = {millis}")
}

/// How long a session waits for one lock; not each engine has this. Its argument is
/// milliseconds.
///
/// A commit is no statement, and may wait too: those that tell of changes wait for each
/// other, and so for one that waits for its standby. Without a bound of their own such
/// sessions would stay on the server when they are given up, and take all places there.
pub(super) fn set_lock_timeout(millis: u128) -> String {
    format!("SET lock_timeout = {millis}")
}

/// Lets a transaction wait for locks as long as it may take.
pub(super) fn set_local_lock_timeout(millis: u128) -> String {
    format!("SET LOCAL lock_timeout = {millis}")
}

/// Has PostgreSQL walk indexes in order always. Statements are planned once, perhaps
/// on an empty table, and must not scan or sort when it has grown. Engines without
/// these settings refuse them, and plan by themselves.
pub(super) const SET_PLANS: [&str; 5] = [
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_sort = off",
    "SET enable_incremental_sort = off",
];

/// Whether a commit waits for the disk, and has it wait.
pub(super) const SHOW_COMMIT: &str = "SHOW synchronous_commit";
pub(super) const SET_COMMIT: &str = "SET synchronous_commit = on";

pub(super) const SHOW_ENCODING: &str = "SHOW server_encoding";

/// Which of several servers took over last: what they have in common, and a number, in
/// hexadecimal digits, that grows with each promotion. Only PostgreSQL itself tells it.
pub(super) const ERA: &str = "SELECT CAST(system_identifier AS text),
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()";

/// A number that tells two stores in one database apart.
pub(super) const STORE_NUMBER: &str = "SELECT CAST(CAST('credentials' AS regclass) AS oid)";

/// Hears what is told of this store.
pub(super) fn listen(number: u32) -> String {
    format!("LISTEN \"{}\"", channel(number))
}

/// Where it is told.
pub(super) fn channel(number: u32) -> String {
    format!("tower_credentials_{number}")
}

pub(super) const BEGIN: &str = "BEGIN";
pub(super) const COMMIT: &str = "COMMIT";
pub(super) const ROLLBACK: &str = "ROLLBACK";
pub(super) const PING: &str = "SELECT 1";

// Of the schema. The one row of `credential_store` is what starting servers queue for.

pub(super) const TABLES: &str = "SELECT table_name FROM information_schema.tables
    WHERE table_schema = current_schema()
    AND table_name IN ('credentials', 'credential_owners', 'credential_store')";
pub(super) const CREATE_STORE: &str = "CREATE TABLE IF NOT EXISTS credential_store (
    one INTEGER NOT NULL PRIMARY KEY, version BIGINT NOT NULL)";
pub(super) const FIRST_VERSION: &str =
    "INSERT INTO credential_store (one, version) VALUES (1, 0) ON CONFLICT DO NOTHING";
pub(super) const VERSION: &str = "SELECT version FROM credential_store WHERE one = 1";
pub(super) const LOCKED_VERSION: &str =
    "SELECT version FROM credential_store WHERE one = 1 FOR UPDATE";
pub(super) fn set_version(version: i64) -> String {
    format!("UPDATE credential_store SET version = {version} WHERE one = 1")
}

// Of reads.

static SELECT: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {} FROM credentials", columns("")));
pub(super) static BY_ACCESS_KEY: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE access_key = $1", *SELECT));
pub(super) static BY_ID: LazyLock<String> = LazyLock::new(|| format!("{} WHERE id = $1", *SELECT));
pub(super) static BY_SLOT: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE user_id = $1 AND slot = $2 AND slot IS NOT NULL", *SELECT));
pub(super) static BY_IDS: LazyLock<String> =
    LazyLock::new(|| format!("{} WHERE id = ANY($1::text[])", *SELECT));
pub(super) const LAST_USED: &str = "SELECT id, last_used FROM credentials
    WHERE id = ANY($1::text[]) AND last_used IS NOT NULL";

/// Whose records a list shows; it decides which index is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    Project,
    User,
}

/// Which list: what its text depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) order: Order,
    pub(super) owner: Owner,
    pub(super) after: bool,
    pub(super) before: bool,
}

/// One page. Its values: the owner and the markers, as far as there are any; then how
/// many rows to examine, the type and the project that count, or NULL, how many bytes to
/// send, and how many rows.
///
/// The innermost query walks one index in order and stops. It compares pairs, so that
/// no other index has its order: one that is by the marker alone could be walked from
/// end to end for an owner with few records. Around it come the filters, and then the
/// lengths of what passed are added up. Rows behind those that the page can hold come
/// without their material, just to say that they are there; so do the last that is
/// examined, for its marker, and the one behind it.
pub(super) fn list(of: List) -> String {
    let column = match of.order {
        Order::AccessKey => "access_key",
        Order::Id => "id",
    };
    let mut last = 0;
    let mut value = |wanted: bool| {
        last += i32::from(wanted);
        if wanted { format!("${last}") } else { String::new() }
    };
    let owner = match of.owner {
        Owner::Nobody => None,
        Owner::Project => Some("project_id"),
        Owner::User => Some("user_id"),
    };
    let (id, after, before) = (value(owner.is_some()), value(of.after), value(of.before));
    let mut conditions = vec![format!("{column} IS NOT NULL")];
    let order = if let Some(owner) = owner {
        let (pair, not_null) = (format!("({owner}, {column})"), format!("{owner} IS NOT NULL"));
        let from =
            if of.after { format!("{pair} > ({id}, {after})") } else { format!("{owner} >= {id}") };
        let to = if of.before {
            format!("{pair} < ({id}, {before})")
        } else {
            format!("{owner} <= {id}")
        };
        conditions.extend([not_null, from, to]);
        format!("{owner}, {column}")
    } else {
        conditions.extend(of.after.then(|| format!("{column} > {after}")));
        conditions.extend(of.before.then(|| format!("{column} < {before}")));
        column.to_owned()
    };
    let (columns, conditions) = (columns(""), conditions.join(" AND "));
    let [examined, kind, project, bytes, rows] = [(); 5].map(|()| value(true));
    let sent = COLUMNS.map(|column| match column {
        "material" | "attributes" => {
            format!("CASE WHEN passes AND coalesce(before, 0) < {bytes} THEN {column} END")
        }
        column => column.to_owned(),
    });
    let sent = sent.join(", ");
    format!(
        "SELECT {sent}, place, passes FROM (
            SELECT *, sum(CASE WHEN passes
                THEN octet_length(material) + octet_length(attributes) ELSE 0 END)
                OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM (
                SELECT *, row_number() OVER (ORDER BY {order}) AS place,
                    ({kind}::text IS NULL OR kind = {kind})
                    AND ({project}::text IS NULL OR coalesce(project_id = {project}, false))
                    AS passes
                FROM (
                    SELECT {columns} FROM credentials WHERE {conditions}
                    ORDER BY {order} LIMIT {examined}::bigint + 1
                ) AS walked
            ) AS numbered
            WHERE passes OR place >= {examined}::bigint
        ) AS measured
        ORDER BY {order} LIMIT {rows}::bigint"
    )
}

// Of writes.

/// The rows that a statement takes: an array for each column, and for these further
/// ones of numbers.
fn rows(further: &[&str]) -> String {
    let number =
        |n: usize| if n <= TEXTS { format!("${n}::text[]") } else { format!("${n}::bigint[]") };
    let arrays: Vec<_> = (1..=COLUMNS.len() + further.len()).map(number).collect();
    let names: Vec<_> = COLUMNS.iter().chain(further).copied().collect();
    format!("unnest({}) AS v ({})", arrays.join(", "), names.join(", "))
}

/// A statement that writes and gives the ids of what it wrote, and one that tells of it
/// too. The latter takes two further values: the channel, and what to say on it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) quiet: String,
    pub(super) telling: String,
}

impl Written {
    /// `values` is how many the statement takes.
    fn new(quiet: String, values: usize) -> Self {
        let (channel, told) = (values + 1, values + 2);
        let telling = format!(
            "WITH written AS ({quiet})
            SELECT id FROM written
            UNION ALL SELECT CAST(pg_notify(${channel}::text, told.payload) AS text)
            FROM unnest(${told}::text[]) AS told (payload)
            WHERE EXISTS (SELECT 1 FROM written)"
        );
        Self { quiet, telling }
    }
}

pub(super) static INSERT: LazyLock<Written> = LazyLock::new(|| {
    let (into, from, rows) = (columns(""), columns("v."), rows(&[]));
    let quiet = format!(
        "INSERT INTO credentials ({into}) SELECT {from} FROM {rows}
        ON CONFLICT DO NOTHING RETURNING id"
    );
    Written::new(quiet, COLUMNS.len())
});

/// Has whoever counts these users' records next wait for this transaction. Its users
/// come sorted, so that no two wait for each other.
pub(super) const LOCK_OWNERS: &str = "INSERT INTO credential_owners (user_id)
    SELECT user_id FROM unnest($1::text[]) AS v (user_id)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id";

/// Inserts what the quotas admit. Its further values: for each row the most that its
/// user may hold, or NULL, and how many rows of the same user stand before it; and how
/// far to count at the most. Gives for each row its id, whether it was written, whether
/// the quota admitted it, and how many its user held before.
pub(super) static INSERT_LIMITED: LazyLock<String> = LazyLock::new(|| {
    let (into, from, rows) = (columns(""), columns("w."), rows(&["most", "before"]));
    let most = COLUMNS.len() + 3;
    format!(
        "WITH wanted AS (SELECT * FROM {rows}),
        held AS (
            SELECT user_id, (SELECT count(*) FROM (
                SELECT 1 FROM credentials AS c WHERE c.user_id = u.user_id
                LIMIT ${most}::bigint) AS few) AS held
            FROM (SELECT DISTINCT user_id FROM wanted WHERE most IS NOT NULL) AS u
        ),
        written AS (
            INSERT INTO credentials ({into})
            SELECT {from} FROM wanted AS w LEFT JOIN held AS h ON h.user_id = w.user_id
            WHERE w.most IS NULL OR h.held + w.before < w.most
            ON CONFLICT DO NOTHING RETURNING id
        )
        SELECT w.id, d.id IS NOT NULL, w.most IS NULL OR h.held + w.before < w.most,
            coalesce(h.held, 0)
        FROM wanted AS w LEFT JOIN held AS h ON h.user_id = w.user_id
        LEFT JOIN written AS d ON d.id = w.id"
    )
});

// Rows that are changed are named twice: by the ids alone, so that no way to join them
// with what comes for them can read the whole table.

/// Further values: the versions that are expected.
pub(super) static UPDATE: LazyLock<Written> = LazyLock::new(|| {
    let set: Vec<_> = COLUMNS[1..].iter().map(|column| format!("{column} = v.{column}")).collect();
    let (set, rows) = (set.join(", "), rows(&["expected"]));
    let quiet = format!(
        "UPDATE credentials AS c SET {set} FROM {rows}
        WHERE c.id = ANY($1::text[]) AND c.id = v.id AND c.version = v.expected RETURNING c.id"
    );
    Written::new(quiet, COLUMNS.len() + 1)
});

/// A version that is NULL is any.
pub(super) static DELETE: LazyLock<Written> = LazyLock::new(|| {
    let quiet = "DELETE FROM credentials AS c
        USING unnest($1::text[], $2::bigint[]) AS v (id, expected)
        WHERE c.id = ANY($1::text[]) AND c.id = v.id
        AND c.version = coalesce(v.expected, c.version) RETURNING c.id";
    Written::new(quiet.into(), 2)
});

/// Tells which of these states are stored, and writes them as they are: the commit waits
/// until they are as durable as any other write, on synchronous standbys too.
pub(super) const CONFIRM: &str = "UPDATE credentials AS c SET version = c.version
    FROM unnest($1::text[], $2::bigint[]) AS v (id, version)
    WHERE c.id = v.id AND c.version = v.version RETURNING c.id";

pub(super) const PURGE_PROJECT: &str = "DELETE FROM credentials WHERE project_id = $1";
pub(super) const PURGE_USER: &str = "DELETE FROM credentials WHERE user_id = $1";

/// Rows that know of a later use are not touched.
pub(super) const NOTE: &str = "UPDATE credentials AS c SET last_used = v.last_used
    FROM unnest($1::text[], $2::bigint[]) AS v (id, last_used)
    WHERE c.id = ANY($1::text[]) AND c.id = v.id
    AND (c.last_used IS NULL OR c.last_used < v.last_used)";

pub(super) const TELL: &str =
    "SELECT pg_notify($1::text, told.payload) FROM unnest($2::text[]) AS told (payload)";

/// Sends nothing that anybody hears; an engine that tells no changes refuses it.
pub(super) const TRY_TELLING: &str = "SELECT pg_notify('tower_credentials_try', '')";

/// Takes rows as they come, all or none: the quickest way for rows that are new.
pub(super) static COPY: LazyLock<String> =
    LazyLock::new(|| format!("COPY credentials ({}) FROM STDIN (FORMAT binary)", columns("")));

fn columns(prefix: &str) -> String {
    COLUMNS.map(|column| format!("{prefix}{column}")).join(", ")
}
