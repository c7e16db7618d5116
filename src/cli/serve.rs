//! Running the server.

use super::Failure;
use super::commands::{operator, say};
use crate::app::App;
use crate::audit::{Event, Kind, checkpoint};
use crate::background;
use crate::clock::Clock;
use crate::config::{Config, Mode};
use crate::defense::bans;
use crate::engine::Engine;
use crate::http::{self, Door};
use crate::server::Server;
use crate::telemetry;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Serves until Ctrl-C or SIGTERM.
pub(super) async fn serve(config: Config) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::start(config, Clock::system()).await?;
    let config = Arc::clone(&app.config);
    let engine = Engine::new(app.clone())?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {} (PORTCULLIS_LISTEN): {error}", config.listen))?;
    let stop = CancellationToken::new();
    bans::refresh(&app).await?;
    app.audit.replay().await?;
    background::start(&app, &stop);
    let about = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": format!("{:?}", config.mode),
        "database": format!("{:?}", app.db.backend()),
        "keys": app.keyring.numbers(),
    });
    app.audit.record(&operator(), vec![Event::success(Kind::Startup, "serve").details(about)]).await?;
    let metrics = telemetry::metrics()?;
    welcome(&config, listener.local_addr()?.port())?;
    let door = Door::new(
        Arc::clone(&config),
        app.clock.clone(),
        Arc::new(Server::new(engine).with_metrics(metrics)),
    );
    let management = manage(&door, &stop).await?;
    http::serve(door, listener, async move {
        tokio::select! {
            _ = terminate.recv() => {},
            _ = interrupt.recv() => {},
        }
        tracing::info!("stopping: finishing what is under way");
    })
    .await?;
    stop.cancel();
    if let Some(management) = management {
        management.await??;
    }
    app.tasks.close();
    app.tasks.wait().await;
    app.audit.record(&operator(), vec![Event::success(Kind::Shutdown, "serve")]).await?;
    let written = checkpoint::write(&app).await;
    app.audit.log().flush();
    written.map_err(Into::into)
}

/// Serves health in detail and metrics on the management listener, if there is one.
async fn manage(
    door: &Door,
    stop: &CancellationToken,
) -> Result<Option<JoinHandle<std::io::Result<()>>>, Failure> {
    let Some(address) = door.config().management_listen else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address} (PORTCULLIS_MANAGEMENT_LISTEN): {error}"))?;
    let stopped = stop.clone().cancelled_owned();
    let door = door.clone();
    Ok(Some(tokio::spawn(async move { http::serve_management(door, listener, stopped).await })))
}

/// Says where everything is.
fn welcome(config: &Config, port: u16) -> Result<(), Failure> {
    let scheme = if config.tls_certificate.is_some() { "https" } else { "http" };
    let host = if config.listen.ip().is_loopback() {
        "localhost".to_owned()
    } else {
        config.listen.ip().to_string()
    };
    let base = format!("{scheme}://{host}:{port}");
    say(&format!("Portcullis is listening on {} ({:?} mode)", config.listen, config.mode))?;
    say(&format!("  GraphQL   {base}/graphql"))?;
    if config.mode == Mode::Development {
        say(&format!("  GraphiQL  {base}/graphiql"))?;
    }
    say(&format!("  Health    {base}/health"))?;
    say("  The first administrator: portcullis admin create --username NAME --email ADDRESS")
}
