/* tests/posix/acl.c - ACLs as words, in the extended attributes that carry them. */
#include <errno.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "tests/posix/script.h"

#define ACL_VERSION  2
#define ENTRIES_MAX  32
#define NO_ID        UINT32_MAX

struct acl_entry {
        uint16_t tag, permissions;
        uint32_t id;
};

struct acl {
        uint32_t         version;
        struct acl_entry entry[ENTRIES_MAX];
};

/* Tags of owner, named user, group, named group, mask and others. */
enum { TAG_OWNER = 1, TAG_USER = 2, TAG_GROUP = 4, TAG_NAMED_GROUP = 8, TAG_MASK = 16,
       TAG_OTHER = 32 };

static const char *
attribute_of(const char *kind)
{
        return strcmp(kind, "default") == 0 ? "system.posix_acl_default"
                                            : "system.posix_acl_access";
}

static uint16_t
tag_of(char letter, bool has_id)
{
        switch (letter) {
        case 'u': return has_id ? TAG_USER : TAG_OWNER;
        case 'g': return has_id ? TAG_NAMED_GROUP : TAG_GROUP;
        case 'm': return TAG_MASK;
        default:  return TAG_OTHER;
        }
}

/* TEXT is changed. */
static size_t
parse(char *text, struct acl *acl)
{
        size_t n = 0;

        acl->version = htole32(ACL_VERSION);
        for (char *word, *rest = text; (word = strsep(&rest, ",")) != NULL && n < ENTRIES_MAX;) {
                const char *id = word + 2, *bits = strchr(id, ':');
                uint16_t    permissions = 0;

                if (bits == NULL || strlen(bits) != 4) {
                        complain("%s is no entry of an ACL", word);
                        return 0;
                }
                permissions |= bits[1] == 'r' ? 4 : 0;
                permissions |= bits[2] == 'w' ? 2 : 0;
                permissions |= bits[3] == 'x' ? 1 : 0;
                acl->entry[n++] = (struct acl_entry) {
                        .tag = htole16(tag_of(*word, *id != ':')),
                        .permissions = htole16(permissions),
                        .id = htole32(*id != ':' ? (uint32_t) strtoul(id, NULL, 10) : NO_ID),
                };
        }
        return n;
}

/* acl PATH access|default TEXT; "" removes it. */
void
acl_set(char **arguments, size_t count, struct outcome *outcome)
{
        struct acl acl;
        int        result;

        (void) count;
        if (*arguments[2] == '\0') {
                result = removexattr(arguments[0], attribute_of(arguments[1]));
        } else {
                size_t n = parse(arguments[2], &acl);
                result = setxattr(arguments[0], attribute_of(arguments[1]), &acl,
                                  sizeof acl.version + n * sizeof acl.entry[0], 0);
        }
        if (result != 0)
                outcome->error = errno;
}

static void
format_entry(FILE *f, const struct acl_entry *e)
{
        const uint16_t tag = le16toh(e->tag), p = le16toh(e->permissions);
        const char     letter = tag <= TAG_USER ? 'u' : tag <= TAG_NAMED_GROUP ? 'g'
                              : tag == TAG_MASK ? 'm' : 'o';

        fprintf(f, "%c:", letter);
        if (tag == TAG_USER || tag == TAG_NAMED_GROUP)
                fprintf(f, "%u", le32toh(e->id));
        fprintf(f, ":%c%c%c", p & 4 ? 'r' : '-', p & 2 ? 'w' : '-', p & 1 ? 'x' : '-');
}

/* getacl PATH access|default -> TEXT */
void
acl_get(char **arguments, size_t count, struct outcome *outcome)
{
        struct acl acl;
        size_t     size;
        ssize_t    n = getxattr(arguments[0], attribute_of(arguments[1]), &acl, sizeof acl);

        (void) count;
        if (n < 0) {
                outcome->error = errno;
                return;
        }
        FILE *f = open_memstream(&outcome->text, &size);
        n = (n - (ssize_t) sizeof acl.version) / (ssize_t) sizeof acl.entry[0];
        for (ssize_t i = 0; i < n; i++) {
                if (i > 0)
                        fputc(',', f);
                format_entry(f, &acl.entry[i]);
        }
        fclose(f);
}
