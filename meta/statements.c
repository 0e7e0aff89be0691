/* meta/statements.c - every SQL text the running catalogue uses. */
#include "meta/meta_internal.h"

#define INODE_COLUMNS \
        "ino, mode, nlink, uid, gid, rdev, atime, ctime, mtime, state, size, generation, object," \
        " EXISTS (SELECT 1 FROM xattr x WHERE x.ino = i.ino)," \
        " EXISTS (SELECT 1 FROM xattr x WHERE x.ino = i.ino" \
        "         AND x.name = CAST('security.capability' AS BLOB))," \
        " CASE state WHEN 2 THEN (SELECT stored FROM object o WHERE o.id = i.object) END"
#define ENTRY_COLUMNS  "entry, parent, ino, name"
#define OBJECT_COLUMNS \
        "id, logical, stored, bound, codec, worst, worst_over_bound, model, lossy, fallback," \
        " data IS NOT NULL, reference"

const char *const statement_text[ST_COUNT] = {
        [ST_BEGIN] = "BEGIN",
        [ST_COMMIT] = "COMMIT",
        [ST_ROLLBACK] = "ROLLBACK",
        [ST_MARK] = "SAVEPOINT mark",
        [ST_KEEP] = "RELEASE mark",
        [ST_UNDO] = "ROLLBACK TO mark",

        [ST_INODE_READ] = "SELECT " INODE_COLUMNS " FROM inode i WHERE ino = ?",
        [ST_INODE_INSERT] =
                "INSERT INTO inode (mode, nlink, uid, gid, rdev, atime, ctime, mtime, state,"
                " size, generation, object) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        [ST_INODE_WRITE] =
                "UPDATE inode SET mode = ?, nlink = ?, uid = ?, gid = ?, rdev = ?, atime = ?,"
                " ctime = ?, mtime = ? WHERE ino = ?",
        [ST_INODE_WRITE_KEEP_MTIME] =
                "UPDATE inode SET mode = ?, nlink = ?, uid = ?, gid = ?, rdev = ?, atime = ?,"
                " ctime = ? WHERE ino = ?",
        [ST_INODE_CONTENT] =
                "UPDATE inode SET state = ?, size = ?, generation = ?, object = ?, mtime = ?,"
                " ctime = ? WHERE ino = ?",
        [ST_INODE_DELETE] = "DELETE FROM inode WHERE ino = ?",
        [ST_INODE_SKIP] = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'inode'",
        [ST_UNLINKED_LIST] =
                "SELECT ino FROM inode WHERE nlink = 0 AND ino > ? ORDER BY ino LIMIT ?",
        [ST_STAGED_LIST] =
                "SELECT " INODE_COLUMNS " FROM inode i WHERE state = 1 AND ino > ?"
                " ORDER BY ino LIMIT ?",
        [ST_GENERATION_MAX] = "SELECT max(generation) FROM inode WHERE state = 1",
        [ST_TROUBLE_WRITE] = "UPDATE inode SET trouble = ? WHERE ino = ?",
        [ST_TROUBLE_READ] = "SELECT trouble FROM inode WHERE ino = ?",
        [ST_TARGET_WRITE] = "INSERT INTO symlink (ino, target) VALUES (?, ?)",
        [ST_TARGET_READ] = "SELECT target FROM symlink WHERE ino = ?",
        [ST_TARGET_DELETE] = "DELETE FROM symlink WHERE ino = ?",

        [ST_ENTRY_FIND] =
                "SELECT " ENTRY_COLUMNS " FROM dirent WHERE parent = ? AND name = ?",
        [ST_ENTRY_OF] =
                "SELECT " ENTRY_COLUMNS " FROM dirent WHERE ino = ? ORDER BY entry LIMIT 1",
        [ST_ENTRY_INSERT] = "INSERT INTO dirent (parent, name, ino) VALUES (?, ?, ?)",
        [ST_ENTRY_DELETE] = "DELETE FROM dirent WHERE entry = ?",
        [ST_ENTRY_MOVE] = "UPDATE dirent SET parent = ?, name = ? WHERE entry = ?",
        [ST_ENTRY_POINT] = "UPDATE dirent SET ino = ? WHERE entry = ?",
        [ST_ENTRY_LIST] =
                "SELECT " ENTRY_COLUMNS " FROM dirent INDEXED BY dirent_order"
                " WHERE parent = ? AND entry > ? ORDER BY entry LIMIT ?",
        [ST_ENTRY_BEFORE] =
                "SELECT " ENTRY_COLUMNS " FROM dirent WHERE parent = ? AND name < ?"
                " ORDER BY name DESC LIMIT ?",
        [ST_ENTRY_ANY] = "SELECT 1 FROM dirent WHERE parent = ? LIMIT 1",

        [ST_XATTR_READ] = "SELECT value FROM xattr WHERE ino = ? AND name = ?",
        [ST_XATTR_WRITE] = "INSERT OR REPLACE INTO xattr (ino, name, value) VALUES (?, ?, ?)",
        [ST_XATTR_DELETE] = "DELETE FROM xattr WHERE ino = ? AND name = ?",
        [ST_XATTR_LIST] = "SELECT name FROM xattr WHERE ino = ? ORDER BY name",
        [ST_XATTR_CLEAR] = "DELETE FROM xattr WHERE ino = ?",

        [ST_PROPERTY_READ] = "SELECT value FROM property WHERE ino = ? AND name = ?",
        [ST_PROPERTY_WRITE] =
                "INSERT OR REPLACE INTO property (ino, name, value) VALUES (?, ?, ?)",
        [ST_PROPERTY_DELETE] = "DELETE FROM property WHERE ino = ? AND name = ?",
        [ST_PROPERTY_ALL] = "SELECT name, value FROM property WHERE ino = ?",
        [ST_PROPERTY_LIST] = "SELECT name FROM property WHERE ino = ? ORDER BY name",
        [ST_PROPERTY_CLEAR] = "DELETE FROM property WHERE ino = ?",

        [ST_OBJECT_NEXT] = "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'object'",
        [ST_OBJECT_INSERT] =
                "INSERT INTO object (id, logical, stored, bound, codec, worst,"
                " worst_over_bound, model, reference, lossy, fallback, data)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        [ST_OBJECT_READ] = "SELECT " OBJECT_COLUMNS " FROM object WHERE id = ?",
        [ST_OBJECT_DATA] = "SELECT data FROM object WHERE id = ? AND data IS NOT NULL",
        [ST_OBJECT_DELETE] = "DELETE FROM object WHERE id = ?",
        [ST_OBJECT_FILE] =
                "SELECT ino FROM inode WHERE object = ? AND object <> 0 LIMIT 1",
        [ST_OBJECT_DEPENDENTS] =
                "SELECT count(*) FROM object WHERE reference = ? AND reference <> 0",
        [ST_OBJECT_LIST] =
                "SELECT " OBJECT_COLUMNS " FROM object WHERE id > ? ORDER BY id LIMIT ?",

        [ST_MODEL_INSERT] =
                "INSERT OR IGNORE INTO model (hash, created, record, blob) VALUES (?,?,?,?)",
        [ST_MODEL_DATA] = "SELECT blob FROM model WHERE hash = ?",
        [ST_MODEL_RECORD] = "SELECT record FROM model WHERE hash = ?",
        [ST_MODEL_RECORD_WRITE] = "UPDATE model SET record = ? WHERE hash = ?",
        [ST_MODEL_USES] =
                "SELECT (SELECT count(*) FROM object WHERE model = ?1 AND model <> 0),"
                " (SELECT count(*) FROM property WHERE name = 'model' AND"
                "  value = printf('%016x', ?1))"
                " FROM model WHERE hash = ?1",
        [ST_MODEL_OWNERS] =
                "SELECT ino FROM property WHERE name = 'model' AND value = printf('%016x', ?)"
                " ORDER BY ino LIMIT ?",
        [ST_MODEL_FILES] =
                "SELECT ino FROM inode WHERE object IN"
                " (SELECT id FROM object WHERE model = ?1 AND model <> 0"
                "  UNION SELECT d.id FROM object k JOIN object d ON d.reference = k.id"
                "   WHERE k.model = ?1 AND k.model <> 0 AND d.reference <> 0) LIMIT ?2",
        [ST_MODEL_DELETE] = "DELETE FROM model WHERE hash = ?",
        [ST_MODEL_LIST] =
                "SELECT hash, length(blob), (SELECT count(*) FROM object o"
                "  WHERE o.model = model.hash AND o.model <> 0), created"
                " FROM model ORDER BY created, hash LIMIT ? OFFSET ?",

        [ST_TRASH_INSERT] = "INSERT OR IGNORE INTO trash (kind, id, generation) VALUES (?,?,?)",
        [ST_TRASH_DELETE] = "DELETE FROM trash WHERE kind = ? AND id = ? AND generation = ?",
        [ST_TRASH_FIND] = "SELECT 1 FROM trash WHERE kind = ? AND id = ? AND generation = ?",
        [ST_TRASH_LIST] = "SELECT kind, id, generation FROM trash LIMIT ?",

        [ST_TOTALS_FILES] =
                "SELECT count(*), total(size), count(CASE state WHEN 1 THEN 1 END),"
                " total(CASE state WHEN 1 THEN size END)"
                " FROM inode WHERE (mode & 61440) = 32768",
        [ST_TOTALS_OBJECTS] = "SELECT count(*), total(stored) FROM object",
        [ST_TOTALS_MODELS] = "SELECT count(*), total(length(blob)) FROM model",
        [ST_FALLBACKS] =
                "SELECT fallback, count(*) FROM object WHERE fallback <> ''"
                " GROUP BY fallback ORDER BY 2 DESC, 1 LIMIT ?",
};
