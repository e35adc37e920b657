// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_WIDTH 80
#define DEFAULT_HEIGHT 24

/* Alternate screen, no cursor, no wrapping at the right edge; and all that back again. */
#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l"
#define SCREEN_LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

struct terminal {
	int write_fd; /* output_fd, or the same file opened anew so that it need not block */
	int input_fd; /* -1: no keys */
	bool screen, gone, write_fd_owned;
	struct termios saved; /* of input_fd */
	struct text frame; /* what is being written, from sent on */
	size_t sent;
	char keys[64]; /* read, from key_at on not yet given */
	size_t key_at, key_count;
	char escape[TERMINAL_KEY_MAX]; /* a sequence begun, perhaps by an earlier read */
	size_t escape_len;
};

/* A terminal or pipe is opened anew, non-blocking: setting that on output_fd would set it for the
 * shell too. */
static void open_output(struct terminal *t, int output_fd)
{
	char path[32];
	struct stat st;
	int fd;

	t->write_fd = output_fd;
	if (!t->screen && (fstat(output_fd, &st) || !S_ISFIFO(st.st_mode)))
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", output_fd);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return; /* another user's terminal */
	t->write_fd = fd;
	t->write_fd_owned = true;
}

/* Keys one by one and not echoed; a job in the background would be stopped for that. */
static void open_input(struct terminal *t, int input_fd)
{
	struct termios raw;
	pid_t foreground;

	t->input_fd = -1;
	if (!t->screen || input_fd < 0 || tcgetattr(input_fd, &t->saved))
		return;
	foreground = tcgetpgrp(input_fd);
	if (foreground >= 0 && foreground != getpgrp())
		return;
	raw = t->saved;
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	raw.c_iflag &= (tcflag_t)~IXON;
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	if (tcsetattr(input_fd, TCSANOW, &raw) == 0)
		t->input_fd = input_fd;
}

int terminal_open(struct terminal **out, int output_fd, int input_fd)
{
	const char *term = getenv("TERM");
	struct terminal *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->screen = isatty(output_fd) && !(term && strcmp(term, "dumb") == 0);
	open_output(t, output_fd);
	open_input(t, input_fd);
	if (t->screen) {
		text_string(&t->frame, SCREEN_ENTER);
		terminal_flush(t);
	}
	*out = t;
	return 0;
}

bool terminal_is_screen(const struct terminal *t)
{
	return t->screen;
}

int terminal_input_fd(const struct terminal *t)
{
	return t->input_fd;
}

void terminal_size(const struct terminal *t, int *width, int *height)
{
	struct winsize size = {};

	*width = DEFAULT_WIDTH;
	*height = DEFAULT_HEIGHT;
	if (ioctl(t->write_fd, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		*width = size.ws_col;
		*height = size.ws_row;
	}
}

void terminal_flush(struct terminal *t)
{
	while (t->sent < t->frame.len && !t->gone) {
		struct pollfd p = {.fd = t->write_fd, .events = POLLOUT};
		size_t len = t->frame.len - t->sent;
		ssize_t written;

		/* A pipe that polls writable takes PIPE_BUF without blocking. */
		if (poll(&p, 1, TERMINAL_PATIENCE_MS) <= 0)
			return;
		written = write(t->write_fd, t->frame.data + t->sent,
				len < PIPE_BUF ? len : PIPE_BUF);
		if (written >= 0)
			t->sent += (size_t)written;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			t->gone = true;
	}
	text_clear(&t->frame);
	t->sent = 0;
}

struct text *terminal_begin(struct terminal *t)
{
	terminal_flush(t);
	return t->frame.len || t->gone ? NULL : &t->frame;
}

static bool read_keys(struct terminal *t)
{
	struct pollfd p = {.fd = t->input_fd, .events = POLLIN};
	ssize_t len;

	t->key_at = 0;
	t->key_count = 0;
	if (t->input_fd < 0 || poll(&p, 1, 0) <= 0)
		return false;
	len = read(t->input_fd, t->keys, sizeof(t->keys));
	if (len > 0)
		t->key_count = (size_t)len;
	else if (len == 0 ? p.revents & POLLHUP : errno != EINTR && errno != EAGAIN)
		t->gone = true;
	return len > 0;
}

/* ESC [ parameters final, ESC O letter; ESC and any other is that key. True: key is set. */
static bool take_byte(struct terminal *t, char byte, char key[static TERMINAL_KEY_MAX])
{
	bool fits;

	if (byte == '\033' || !t->escape_len ||
	    (t->escape_len == 1 && byte != '[' && byte != 'O')) {
		t->escape[0] = '\033';
		t->escape_len = byte == '\033';
		memcpy(key, (const char[]){byte, '\0'}, 2);
		return byte != '\033';
	}
	if (t->escape_len < TERMINAL_KEY_MAX - 1)
		t->escape[t->escape_len] = byte;
	t->escape_len++;
	if (t->escape_len <= 2 || byte < '@' || byte > '~')
		return false;
	fits = t->escape_len < TERMINAL_KEY_MAX;
	if (fits) {
		memcpy(key, t->escape, t->escape_len);
		key[t->escape_len] = '\0';
	}
	t->escape_len = 0;
	return fits;
}

bool terminal_key(struct terminal *t, char key[static TERMINAL_KEY_MAX])
{
	while (t->key_at < t->key_count || read_keys(t))
		if (take_byte(t, t->keys[t->key_at++], key))
			return true;
	return false;
}

bool terminal_gone(const struct terminal *t)
{
	return t->gone;
}

void terminal_close(struct terminal *t)
{
	if (!t)
		return;
	if (t->screen)
		text_string(&t->frame, SCREEN_LEAVE); /* behind what still waits */
	terminal_flush(t);
	if (t->input_fd >= 0)
		tcsetattr(t->input_fd, TCSAFLUSH, &t->saved);
	if (t->write_fd_owned)
		close(t->write_fd);
	text_free(&t->frame);
	free(t);
}
