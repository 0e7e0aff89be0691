/* common/notify.c - one datagram a message.  libsystemd would be a dependency for this. */
#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A path, or, after "@", a name in the abstract namespace. */
static bool
address_of(const char *name, struct sockaddr_un *address, socklen_t *length)
{
        const size_t n = strlen(name);

        if ((*name != '/' && *name != '@') || n < 2 || n >= sizeof address->sun_path)
                return false;
        *address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        memcpy(address->sun_path, name, n);
        if (*name == '@')
                address->sun_path[0] = '\0';
        *length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n);
        return true;
}

bool
notify_send(const char *state)
{
        const char *name = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address;
        socklen_t length;
        ssize_t sent;
        int fd;

        if (name == NULL || !address_of(name, &address, &length))
                return false;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return false;
        do
                sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
                              (const struct sockaddr *) &address, length);
        while (sent < 0 && errno == EINTR);
        close(fd);
        return sent == (ssize_t) strlen(state);
}

uint64_t
notify_watchdog(void)
{
        const char *interval = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

        if (interval == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long) getpid()))
                return 0;
        return strtoull(interval, NULL, 10);
}
