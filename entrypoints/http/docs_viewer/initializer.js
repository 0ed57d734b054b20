"use strict";

SwaggerUIBundle({
  dom_id: "#viewer",
  // Relative, so that it is right under any prefix of a proxy.
  url: "openapi.json",
  deepLinking: true,
  displayRequestDuration: true,
  // The default asks a validator on the internet.
  validatorUrl: null,
});
