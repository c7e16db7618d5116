//! Registering and signing in.

use crate::harness::TestServer;
use serde_json::json;

both! {
    async fn a_person_registers_signs_in_and_is_known(server: TestServer) {
        let mut ada = server.register("ada").await;
        let reply = ada.login().await;
        assert_eq!(reply.data("/login/status"), "SIGNED_IN");
        assert!(reply.data("/login/csrfToken").is_null());
        let me = ada.query("{ me { username email role permissions isActive } }", json!({})).await.ok();
        assert_eq!(me.data("/me/username"), "ada");
        assert_eq!(me.data("/me/email"), "ada@example.org");
        assert_eq!(me.data("/me/role"), "USER");
        assert_eq!(me.data("/me/permissions"), &json!(["READ_POSTS", "WRITE_POSTS"]));
        assert_eq!(me.data("/me/isActive"), true);
        assert!(server.anonymous().query("{ me { id } }", json!({})).await.ok().data("/me").is_null());
    }
}
