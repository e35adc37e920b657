/* SPDX-License-Identifier: Apache-2.0 */
/* application_files - what an application's own files say about its name.
 *
 * Paths are those of the process: root is its root directory, and links do not lead out of it.
 * No state. */
#ifndef BITTERN_APPLICATION_FILES_H
#define BITTERN_APPLICATION_FILES_H

#include <stddef.h>

/* "name" (without an @scope/) of the package.json nearest to script, upward, else to cwd; files
 * without a name are passed over. A script in node_modules is a tool (next, ts-node, pm2): it
 * comes last. script may be NULL, may be relative to cwd and may be a directory; "" when there
 * is none. */
void application_package_name(char *name, size_t size, int root, const char *cwd,
			      const char *script);
/* The DJANGO_SETTINGS_MODULE that a manage.py sets; "" when there is none. */
void application_django_settings(char *settings, size_t size, int root, const char *cwd,
				 const char *script);

#endif
