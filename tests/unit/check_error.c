/* The error table: what each row promises to clients. */
#include "units.h"

#include <stdbool.h>
#include <string.h>

#include "base/error.h"

/* Of HTTP's reason phrases (RFC 9110, 15; RFC 4918, 11.5), those the table may use as titles. */
static const char *title_of(int status) {
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 422:
        return "Unprocessable Content";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 507:
        return "Insufficient Storage";
    default:
        return NULL;
    }
}

static bool slug_is_sound(const char *slug) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t n = strlen(slug);
    return n > 0 && strspn(slug, "abcdefghijklmnopqrstuvwxyz-") == n &&
           strchr(letters, slug[0]) != NULL && strchr(letters, slug[n - 1]) != NULL &&
           strstr(slug, "--") == NULL;
}

/* Printable ASCII, so that it needs no escape in a log and only JSON's in an answer. */
static bool is_clean_text(const char *text) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return n > 0 && text[0] != ' ' && text[n - 1] != ' ';
}

START_TEST(every_row_is_sound) {
    for (int e = OK + 1; e < ERROR_COUNT; e++) {
        const struct error_info *info = error_info((enum error)e);
        ck_assert_msg(info->slug != NULL, "row %d", e);
        ck_assert_msg(slug_is_sound(info->slug), "slug \"%s\"", info->slug);
        ck_assert_msg(title_of(info->status) != NULL, "%s: status %d", info->slug, info->status);
        ck_assert_str_eq(info->title, title_of(info->status));
        ck_assert_msg(is_clean_text(info->detail), "%s: detail", info->slug);
    }
}
END_TEST

START_TEST(slugs_are_unique_but_for_internal) {
    for (int a = OK + 1; a < ERROR_COUNT; a++)
        for (int b = a + 1; b < ERROR_COUNT; b++) {
            const char *slug = error_info((enum error)a)->slug;
            if (strcmp(slug, error_info((enum error)b)->slug) == 0)
                ck_assert_str_eq(slug, "internal");
        }
}
END_TEST

START_TEST(retry_after_goes_with_unavailability) {
    for (int e = OK + 1; e < ERROR_COUNT; e++) {
        const struct error_info *info = error_info((enum error)e);
        bool passes = info->status == 503 || info->status == 507;
        ck_assert_msg((info->retry_after > 0) == passes, "%s", info->slug);
        ck_assert_int_le(info->retry_after, 60);
    }
}
END_TEST

START_TEST(what_old_clients_look_for_is_there) {
    ck_assert_str_eq(error_info(E_KEY_NOT_FOUND)->detail, "Key not found");
    ck_assert_int_eq(error_info(E_KEY_NOT_FOUND)->status, 404);
    ck_assert_str_eq(error_info(E_BACKEND_UNAVAILABLE)->detail, "Redis connection failed");
    ck_assert_int_eq(error_info(E_BACKEND_UNAVAILABLE)->status, 503);
    ck_assert_int_eq(error_info(E_INVALID_TTL)->status, 422);
    ck_assert_int_eq(error_info(E_VALUE_TOO_LARGE)->status, 413);
    ck_assert_int_eq(error_info(E_BACKEND_FULL)->status, 507);
}
END_TEST

START_TEST(anything_else_is_an_internal_error) {
    const struct error_info *internal = error_info(E_INTERNAL);
    ck_assert_int_eq(internal->status, 500);
    ck_assert_str_eq(internal->slug, "internal");
    ck_assert_ptr_eq(error_info(OK), internal);
    ck_assert_ptr_eq(error_info(ERROR_COUNT), internal);
    ck_assert_ptr_eq(error_info((enum error)(ERROR_COUNT + 1000)), internal);
    ck_assert_ptr_eq(error_info((enum error) - 1), internal);
}
END_TEST

Suite *suite_error(void) {
    Suite *s = suite_create("error");
    TCase *t = tcase_create("table");
    tcase_add_test(t, every_row_is_sound);
    tcase_add_test(t, slugs_are_unique_but_for_internal);
    tcase_add_test(t, retry_after_goes_with_unavailability);
    tcase_add_test(t, what_old_clients_look_for_is_there);
    tcase_add_test(t, anything_else_is_an_internal_error);
    suite_add_tcase(s, t);
    return s;
}
