package invalid.outrigger.conformance.plugins;

import invalid.outrigger.conformance.Json;
import java.util.Map;
import org.apache.apisix.plugin.runner.HttpRequest;
import org.apache.apisix.plugin.runner.HttpResponse;
import org.apache.apisix.plugin.runner.filter.PluginFilter;
import org.apache.apisix.plugin.runner.filter.PluginFilterChain;
import org.springframework.stereotype.Component;

/** Answers with the whole environment, process id and working folder of the runner. */
@Component
public class EnvFilter implements PluginFilter {

  @Override
  public String name() {
    return "conf-env";
  }

  @Override
  public void filter(HttpRequest request, HttpResponse response, PluginFilterChain chain) {
    Json.tell(
        response,
        Map.of(
            "env", System.getenv(),
            "pid", ProcessHandle.current().pid(),
            "cwd", System.getProperty("user.dir")));
  }
}
