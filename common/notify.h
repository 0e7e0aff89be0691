/* common/notify.h - telling the service manager how we are: the protocol of sd_notify(3).
 *
 * systemd, and others that speak its protocol, pass the name of a datagram socket in
 * NOTIFY_SOCKET.  Without it nothing is sent.
 *
 * Thread safety: all functions from any thread.
 */
#ifndef CAEFS_COMMON_NOTIFY_H
#define CAEFS_COMMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* STATE: lines such as "READY=1", "STOPPING=1", "STATUS=words", "WATCHDOG=1".  False when
 * nobody wants to know, or it could not be sent. */
bool notify_send(const char *state);

/* Microseconds within which the manager wants to hear "WATCHDOG=1" from this process each
 * time; 0: it does not. */
uint64_t notify_watchdog(void);

#endif
