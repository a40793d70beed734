# Varnish by its own rules, which keep what says max-age. It starts with storage by malloc, and its
# log in shared memory stays on, as it does for all who run it.
vcl 4.1;
backend origin {
    .host = "@ORIGIN_HOST@";
    .port = "@ORIGIN_PORT@";
}
