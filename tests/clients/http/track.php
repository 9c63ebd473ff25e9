<?php
// PHP's stream wrapper, and its curl where there is one, asking for HTTP/2. Prints statuses.
[, $url, $key, $body] = $argv;
$headers = ["Authorization: Bearer $key", "Content-Type: application/json"];
$options = ["method" => "POST", "header" => $headers, "content" => $body, "ignore_errors" => true];
file_get_contents("$url/users/track", false, stream_context_create(["http" => $options]));
echo explode(" ", $http_response_header[0])[1], "\n";
if (function_exists("curl_init")) {
    $curl = curl_init("$url/users/track");
    curl_setopt_array($curl, [
        CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_2_0,
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_POSTFIELDS => $body,
        CURLOPT_RETURNTRANSFER => true,
    ]);
    curl_exec($curl);
    echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE), "\n";
}
