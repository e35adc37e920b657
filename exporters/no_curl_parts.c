// SPDX-License-Identifier: Apache-2.0
/* no_curl_parts - stands in for libraries of libcurl that bittern has no use for, so that it can be
 * linked statically.
 *
 * Debian builds libcurl.a with all that it can do, and of some of these parts (GSS-API, LDAP) has
 * no static library. bittern sends by HTTP and HTTPS alone (CURLOPT_PROTOCOLS_STR), with no login,
 * no cookies, and asks for no compressed answers. What libcurl calls all the same says here that
 * there is nothing to be had; the rest is never called. */
#include <stddef.h>
#include <stdlib.h>

#define IDN2_ERROR (-100) /* IDN2_MALLOC: a name with characters beyond ASCII is not found */

void *GSS_C_NT_HOSTBASED_SERVICE;

/* When libcurl is initialised and left. */
int libssh2_init(int flags);
void libssh2_exit(void);
const char *libssh2_version(int required);
const char *idn2_check_version(const char *required);

int libssh2_init(int flags)
{
	(void)flags;
	return 0;
}

void libssh2_exit(void)
{
}

const char *libssh2_version(int required)
{
	(void)required;
	return NULL;
}

const char *idn2_check_version(const char *required)
{
	(void)required;
	return NULL;
}

/* For the host's name. */
int idn2_lookup_ul(const char *name, char **out, int flags);
void idn2_free(void *memory);

int idn2_lookup_ul(const char *name, char **out, int flags)
{
	(void)name;
	(void)flags;
	*out = NULL;
	return IDN2_ERROR;
}

void idn2_free(void *memory)
{
	free(memory);
}

/* A server can name a compression that nobody asked for: no decoder, and the answer is bad. */
void *BrotliDecoderCreateInstance(void *alloc, void *free_function, void *opaque);
void *ZSTD_createDStream(void);

void *BrotliDecoderCreateInstance(void *alloc, void *free_function, void *opaque)
{
	(void)alloc;
	(void)free_function;
	(void)opaque;
	return NULL;
}

void *ZSTD_createDStream(void)
{
	return NULL;
}

#define NEVER_CALLED(name)                        \
	void name(void);                          \
	__attribute__((noreturn)) void name(void) \
	{                                         \
		abort();                          \
	}

NEVER_CALLED(BrotliDecoderDecompressStream)
NEVER_CALLED(BrotliDecoderDestroyInstance)
NEVER_CALLED(BrotliDecoderGetErrorCode)
NEVER_CALLED(RTMP_Alloc)
NEVER_CALLED(RTMP_Close)
NEVER_CALLED(RTMP_Connect1)
NEVER_CALLED(RTMP_ConnectStream)
NEVER_CALLED(RTMP_Free)
NEVER_CALLED(RTMP_Init)
NEVER_CALLED(RTMP_Read)
NEVER_CALLED(RTMP_SetBufferMS)
NEVER_CALLED(RTMP_SetupURL)
NEVER_CALLED(RTMP_Write)
NEVER_CALLED(ZSTD_decompressStream)
NEVER_CALLED(ZSTD_freeDStream)
NEVER_CALLED(ZSTD_isError)
NEVER_CALLED(ber_bvfree)
NEVER_CALLED(ber_free)
NEVER_CALLED(ber_memfree)
NEVER_CALLED(ber_sockbuf_add_io)
NEVER_CALLED(gss_delete_sec_context)
NEVER_CALLED(gss_display_name)
NEVER_CALLED(gss_display_status)
NEVER_CALLED(gss_import_name)
NEVER_CALLED(gss_init_sec_context)
NEVER_CALLED(gss_inquire_context)
NEVER_CALLED(gss_release_buffer)
NEVER_CALLED(gss_release_name)
NEVER_CALLED(gss_unwrap)
NEVER_CALLED(gss_wrap)
NEVER_CALLED(ldap_abandon_ext)
NEVER_CALLED(ldap_err2string)
NEVER_CALLED(ldap_free_urldesc)
NEVER_CALLED(ldap_get_attribute_ber)
NEVER_CALLED(ldap_get_dn_ber)
NEVER_CALLED(ldap_get_option)
NEVER_CALLED(ldap_init_fd)
NEVER_CALLED(ldap_memfree)
NEVER_CALLED(ldap_msgfree)
NEVER_CALLED(ldap_msgtype)
NEVER_CALLED(ldap_parse_result)
NEVER_CALLED(ldap_parse_sasl_bind_result)
NEVER_CALLED(ldap_pvt_url_scheme2proto)
NEVER_CALLED(ldap_result)
NEVER_CALLED(ldap_sasl_bind)
NEVER_CALLED(ldap_search_ext)
NEVER_CALLED(ldap_set_option)
NEVER_CALLED(ldap_start_tls)
NEVER_CALLED(ldap_unbind_ext)
NEVER_CALLED(ldap_url_parse)
NEVER_CALLED(libssh2_agent_connect)
NEVER_CALLED(libssh2_agent_disconnect)
NEVER_CALLED(libssh2_agent_free)
NEVER_CALLED(libssh2_agent_get_identity)
NEVER_CALLED(libssh2_agent_init)
NEVER_CALLED(libssh2_agent_list_identities)
NEVER_CALLED(libssh2_agent_userauth)
NEVER_CALLED(libssh2_channel_free)
NEVER_CALLED(libssh2_channel_read_ex)
NEVER_CALLED(libssh2_channel_send_eof)
NEVER_CALLED(libssh2_channel_wait_closed)
NEVER_CALLED(libssh2_channel_wait_eof)
NEVER_CALLED(libssh2_channel_write_ex)
NEVER_CALLED(libssh2_hostkey_hash)
NEVER_CALLED(libssh2_knownhost_add)
NEVER_CALLED(libssh2_knownhost_checkp)
NEVER_CALLED(libssh2_knownhost_del)
NEVER_CALLED(libssh2_knownhost_free)
NEVER_CALLED(libssh2_knownhost_get)
NEVER_CALLED(libssh2_knownhost_init)
NEVER_CALLED(libssh2_knownhost_readfile)
NEVER_CALLED(libssh2_knownhost_writefile)
NEVER_CALLED(libssh2_scp_recv2)
NEVER_CALLED(libssh2_scp_send64)
NEVER_CALLED(libssh2_session_abstract)
NEVER_CALLED(libssh2_session_block_directions)
NEVER_CALLED(libssh2_session_callback_set)
NEVER_CALLED(libssh2_session_disconnect_ex)
NEVER_CALLED(libssh2_session_flag)
NEVER_CALLED(libssh2_session_free)
NEVER_CALLED(libssh2_session_handshake)
NEVER_CALLED(libssh2_session_hostkey)
NEVER_CALLED(libssh2_session_init_ex)
NEVER_CALLED(libssh2_session_last_errno)
NEVER_CALLED(libssh2_session_last_error)
NEVER_CALLED(libssh2_session_method_pref)
NEVER_CALLED(libssh2_session_set_blocking)
NEVER_CALLED(libssh2_sftp_close_handle)
NEVER_CALLED(libssh2_sftp_init)
NEVER_CALLED(libssh2_sftp_last_error)
NEVER_CALLED(libssh2_sftp_mkdir_ex)
NEVER_CALLED(libssh2_sftp_open_ex)
NEVER_CALLED(libssh2_sftp_read)
NEVER_CALLED(libssh2_sftp_readdir_ex)
NEVER_CALLED(libssh2_sftp_rename_ex)
NEVER_CALLED(libssh2_sftp_rmdir_ex)
NEVER_CALLED(libssh2_sftp_seek64)
NEVER_CALLED(libssh2_sftp_shutdown)
NEVER_CALLED(libssh2_sftp_stat_ex)
NEVER_CALLED(libssh2_sftp_statvfs)
NEVER_CALLED(libssh2_sftp_symlink_ex)
NEVER_CALLED(libssh2_sftp_unlink_ex)
NEVER_CALLED(libssh2_sftp_write)
NEVER_CALLED(libssh2_userauth_authenticated)
NEVER_CALLED(libssh2_userauth_keyboard_interactive_ex)
NEVER_CALLED(libssh2_userauth_list)
NEVER_CALLED(libssh2_userauth_password_ex)
NEVER_CALLED(libssh2_userauth_publickey_fromfile_ex)
NEVER_CALLED(psl_builtin)
NEVER_CALLED(psl_free)
NEVER_CALLED(psl_is_cookie_domain_acceptable)
NEVER_CALLED(psl_latest)
