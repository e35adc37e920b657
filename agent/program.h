/* SPDX-License-Identifier: Apache-2.0 */
/* program - which application a Python or Node.js command line runs.
 *
 * Pure and without allocation: reads the arguments (and of the environment what process_facts.h
 * kept), never a file. Knows the options of the interpreters and of the usual servers well
 * enough to tell an option's value from the application. Also reads the titles that programs put
 * in place of their arguments ("gunicorn: worker [shop.wsgi:app]", "node /srv/shop/app.js"). */
#ifndef BITTERN_PROGRAM_H
#define BITTERN_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "process_facts.h"

struct program {
	const char *script; /* the file that is run, as given, or NULL; into the facts */
	const char *directory; /* where the command line goes before it runs (--chdir), or NULL */
	char module[128]; /* "shop.api" of shop.api:app, without the attribute; "" for none */
	bool django; /* script is manage.py: the project is in its text */
	bool script_names; /* the script's stem is the application's name (streamlit) */
	bool child; /* started by Python's multiprocessing: it is what its parent is */
};

void program_of(struct program *program, const struct process_facts *facts);

/* main, app, server, index, api, wsgi, asgi, src, run and the like: no name of an application. */
bool program_is_generic(const char *word, size_t len);

#endif
